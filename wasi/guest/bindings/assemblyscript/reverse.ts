// Answers a text with its words in reverse order.
import { serve } from "./vectorvisor";

serve(64 << 10, (request: Uint8Array): Uint8Array => {
  const words = String.UTF8.decode(request.buffer).split(" ");
  return Uint8Array.wrap(String.UTF8.encode(words.reverse().join(" ")));
});
