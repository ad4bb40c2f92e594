import { serverless_invoke, serverless_response } from "./env";

/** Answers requests of at most `room` bytes, for ever. */
export function serve(room: i32, handler: (request: Uint8Array) => Uint8Array): void {
  const buffer = new Uint8Array(room);
  while (true) {
    const length = serverless_invoke(buffer.dataStart, room);
    if (length > 0) {
      const answer = handler(buffer.slice(0, length));
      serverless_response(answer.dataStart, answer.length);
    } else {
      serverless_response(0, 0);
    }
  }
}
