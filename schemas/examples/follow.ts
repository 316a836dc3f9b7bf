// Follows topics and prints what is told of them, one message a line: node follow.ts workflow:orders_etl alerts
// WEIR_LIVE_URL is the address of the live sockets, WEIR_API_KEY a key where the service asks for one.
const { WEIR_LIVE_URL: address = 'ws://127.0.0.1:18080/ws', WEIR_API_KEY: key } = process.env;
// A browser can set no header, so the key is offered as a protocol: it then stands in no address and no log.
const socket = new WebSocket(address, key === undefined ? ['weir.live.v1'] : ['weir.live.v1', `bearer.${key}`]);
socket.addEventListener('open', () => {
  for (const topic of process.argv.slice(2)) socket.send(JSON.stringify({ action: 'subscribe', topic }));
});
socket.addEventListener('message', ({ data }) => console.log(String(data)));
socket.addEventListener('close', ({ code, reason }) => console.log(`closed: ${code} ${reason}`));
