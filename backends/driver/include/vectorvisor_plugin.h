/* The ABI between VectorVisor and a driver plugin, version 4, for plugins in C. src/plugin/abi.rs is the same in Rust
 * and explains it; the meaning of every call is that of the trait `Device` in src/lib.rs.
 *
 * - The driver NAME lives in libvectorvisor_NAME.so and exports vectorvisor_NAME_query.
 * - Nothing unwinds (C++ exceptions, Rust panics) across the boundary.
 * - Slices and pointers are valid during the call only; the host memory of `write` and `read` until their event. Texts
 *   are UTF-8.
 * - Handles are numbers and never 0, which in a launch stands for no buffer. No two live handles of one kind are the
 *   same, and no two live pieces of host memory overlap. The host passes only live handles.
 * - All entries may be called from any thread, several at once.
 * - vv_table and vv_info hold their size and may get more fields at their end within a version: of an older plugin's
 *   the missing fields read as 0, and of a newer plugin's the host reads those that it knows. */
#ifndef VECTORVISOR_PLUGIN_H
#define VECTORVISOR_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define VV_PLUGIN_VERSION 4

/* What an entry returns. Before it returns any other than VV_OK, it calls vv_why.tell. */
enum { VV_OK, VV_UNAVAILABLE, VV_COMPILE, VV_OUT_OF_MEMORY, VV_INVALID, VV_DEVICE, VV_PANIC };

/* A feature: the entry publish does something. Without it the host never calls that entry. */
#define VV_PUBLISH UINT64_C(1)

typedef struct { const uint8_t *data; size_t len; } vv_bytes;

/* tell(context, text, advice (with VV_UNAVAILABLE), bytes wanted (with VV_OUT_OF_MEMORY)) */
typedef struct { void *context; void (*tell)(void *context, vv_bytes text, vv_bytes advice, uint64_t wanted); } vv_why;

enum { VV_KIND_CPU, VV_KIND_GPU, VV_KIND_ACCELERATOR };
enum { VV_LANGUAGE_C, VV_LANGUAGE_OPENCL, VV_LANGUAGE_CUDA, VV_LANGUAGE_HIP };
enum { VV_THREAD_EXIT = 1, VV_TIMER = 2, VV_LIVE_SHARED = 4, VV_ZEROED = 8, VV_NVIDIA = 16, VV_PATCHED = 32 };

typedef struct {
    uint32_t size; /* of this struct */
    uint32_t kind, language, flags, lane_width, parallel_tiles;
    uint64_t index, memory, max_alloc;
    vv_bytes name, identity;
} vv_info;

typedef void vv_each(void *context, const vv_info *info);
typedef void vv_progress(void *context, size_t done, size_t total);
typedef void vv_output(void *context, vv_bytes binary);

/* What a function cost: its seconds in the compiler, registers of a thread, bytes of code, spills and stack. */
typedef struct { vv_bytes name; double seconds; uint32_t registers, bytes, spills, stack; } vv_cost;
typedef void vv_costs(void *context, size_t unit, double seconds, const vv_cost *functions, size_t count);

/* Two bits each for nvidia (low) and patch: 0 the driver decides, 1 off, 2 on. */
typedef uint32_t vv_quirks;

typedef const void *vv_device;

typedef struct {
    uint32_t version; /* at most what the host asked for */
    uint32_t size;    /* of this struct */
    vv_bytes name;    /* as in the file's name; valid for ever */
    uint64_t features;
    const void *driver; /* the plugin's own; passed to devices, open and examine; may be null */
    int32_t (*devices)(const void *driver, vv_each *each, void *context, const vv_why *why);
    int32_t (*open)(const void *driver, uint64_t index, vv_quirks quirks, vv_device *device, const vv_why *why);
    int32_t (*close)(vv_device device, const vv_why *why);
    int32_t (*info)(vv_device device, vv_each *each, void *context, const vv_why *why);
    /* registers: the most of a thread, for compilers that take such a limit; 0 is none. */
    int32_t (*compile)(vv_device device, vv_bytes header, const vv_bytes *units, size_t count, uint32_t registers,
                       vv_progress *progress, vv_output *output, void *context, const vv_why *why);
    /* The host guarantees that the binary is one that compile gave for such a device, or bytes that are no binary. */
    int32_t (*load)(vv_device device, vv_bytes binary, uint64_t *module, const vv_why *why);
    int32_t (*unload)(vv_device device, uint64_t module, const vv_why *why);
    int32_t (*kernel)(vv_device device, uint64_t module, vv_bytes name, uint64_t *kernel, const vv_why *why);
    int32_t (*resident)(vv_device device, uint64_t kernel, uint32_t lanes, uint32_t *tiles, const vv_why *why);
    int32_t (*alloc)(vv_device device, uint64_t bytes, uint64_t *buffer, const vv_why *why);
    int32_t (*free)(vv_device device, uint64_t buffer, const vv_why *why);
    int32_t (*alloc_pinned)(vv_device device, size_t bytes, uint64_t *pinned, uint8_t **pointer, const vv_why *why);
    int32_t (*free_pinned)(vv_device device, uint64_t pinned, const vv_why *why);
    int32_t (*alloc_shared)(vv_device device, size_t bytes, uint64_t *buffer, uint8_t **pointer, const vv_why *why);
    int32_t (*publish)(vv_device device, uint64_t shared, const vv_why *why);
    int32_t (*queue)(vv_device device, uint32_t urgent, uint64_t *queue, const vv_why *why);
    int32_t (*free_queue)(vv_device device, uint64_t queue, const vv_why *why);
    int32_t (*write)(vv_device device, uint64_t queue, uint64_t dst, uint64_t offset, const uint8_t *src, size_t bytes,
                     uint64_t *event, const vv_why *why);
    int32_t (*read)(vv_device device, uint64_t queue, uint64_t src, uint64_t offset, uint8_t *dst, size_t bytes,
                    uint64_t *event, const vv_why *why);
    int32_t (*launch)(vv_device device, uint64_t queue, uint64_t kernel, const uint64_t *args, size_t count,
                      uint32_t tiles, uint32_t lanes, uint64_t *event, const vv_why *why);
    int32_t (*finish)(vv_device device, uint64_t queue, const vv_why *why);
    int32_t (*reached)(vv_device device, uint64_t event, uint32_t *reached, const vv_why *why);
    int32_t (*wait)(vv_device device, uint64_t event, const vv_why *why);
    int32_t (*times)(vv_device device, uint64_t event, uint64_t *begin, uint64_t *end, const vv_why *why);
    int32_t (*free_event)(vv_device device, uint64_t event, const vv_why *why);
    /* A table may end before each of these entries, and they may be null. */
    int32_t (*examine)(const void *driver, vv_bytes architecture, vv_bytes header, const vv_bytes *units, size_t count,
                       uint32_t registers, vv_costs *costs, void *context, const vv_why *why);
    /* The buffer 0 if the device has no such memory. */
    int32_t (*alloc_mapped)(vv_device device, size_t bytes, uint64_t *buffer, uint8_t **pointer, const vv_why *why);
} vv_table;

/* The query function: the table, or null if the plugin needs a newer host than `highest`. */
typedef const vv_table *vv_query(uint32_t highest);

#endif
