// Programs for VectorVisor that serve requests in a loop. The name of this file is the imports' module.

/** Waits for the next request, copies it to `buffer`, and gives its length; a request that is longer than `length` is refused
 *  to its sender. 0: it is empty; in the first VectorVisor also that there is none. Answer with nothing. */
export declare function serverless_invoke(buffer: usize, length: i32): i32;
/** Answers the request. */
export declare function serverless_response(answer: usize, length: i32): void;
/** Waits until all VMs that run side by side with this one have come to a barrier or ended. */
export declare function vectorvisor_barrier(): void;
