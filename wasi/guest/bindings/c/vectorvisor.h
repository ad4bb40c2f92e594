/* Programs for VectorVisor that serve requests in a loop. Everything before the first `serverless_invoke` is done once,
   for all VMs. */
#ifndef VECTORVISOR_H
#define VECTORVISOR_H

#include <stddef.h>

#define VECTORVISOR_IMPORT(name) __attribute__((import_module("env"), import_name(name)))

/* Waits for the next request, copies it to `buffer`, and gives its length, which is at most `length`: a longer request is
   refused to its sender. 0: it is empty; in the first VectorVisor also that there is none. Answer with no bytes. */
VECTORVISOR_IMPORT("serverless_invoke") size_t serverless_invoke(void *buffer, size_t length);

/* Answers the request. */
VECTORVISOR_IMPORT("serverless_response") void serverless_response(const void *answer, size_t length);

/* Waits until all VMs that run side by side with this one have come to a barrier or ended. */
VECTORVISOR_IMPORT("vectorvisor_barrier") void vectorvisor_barrier(void);

#endif
