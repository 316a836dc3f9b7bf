import { openDataFolder } from '../../deploy/local/data-folder.ts';

/** Holds the data folder that it is given until somebody kills it. */
try {
  await openDataFolder(process.argv[2], false);
  console.log('held');
} catch (error) {
  console.log((error as Error).message);
}
setInterval(() => {}, 1_000);
