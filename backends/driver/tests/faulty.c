/* A driver in C, called "faulty", with the faults that the tests ask for by -D. */
#include "vectorvisor_plugin.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(sizeof(vv_table) == TABLE_BYTES && sizeof(vv_info) == INFO_BYTES, "the header differs from abi.rs");

#ifndef QUERY
#define QUERY vectorvisor_faulty_query
#endif
#ifndef NAME
#define NAME "faulty"
#endif
#ifndef VERSION
#define VERSION VV_PLUGIN_VERSION
#endif
#ifndef SIZE
#define SIZE sizeof(vv_table)
#endif
#ifndef INFO_SIZE
#define INFO_SIZE sizeof(vv_info)
#endif
#ifndef KIND
#define KIND VV_KIND_ACCELERATOR
#endif
#ifndef LANES
#define LANES 64
#endif
#ifndef IDENTITY
#define IDENTITY "an identity"
#endif

static vv_bytes text(const char *text) { return (vv_bytes){(const uint8_t *)text, strlen(text)}; }

static int32_t fail(const vv_why *why, int32_t code, const char *what, const char *advice, uint64_t wanted) {
    why->tell(why->context, text(what), text(advice), wanted);
    return code;
}

/* A copy of the bytes before an inaccessible page, so that reading beyond them crashes the process. */
static const void *at_the_end(const void *from, size_t bytes) {
    size_t page = sysconf(_SC_PAGESIZE);
    uint8_t *pages = mmap(0, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE)) return 0;
    return memcpy(pages + page - bytes, from, bytes);
}

static void tell(vv_each *each, void *context) {
    /* A newer plugin's has more fields. */
    struct { vv_info now; uint64_t later[9]; } info = {{
        .size = INFO_SIZE, .kind = KIND, .language = VV_LANGUAGE_HIP, .flags = VV_TIMER | VV_PATCHED, .lane_width = LANES,
        .parallel_tiles = 3, .memory = 1 << 20, .max_alloc = 1 << 10, .name = text("a name"), .identity = text(IDENTITY),
    }, {1, 2, 3, 4, 5, 6, 7, 8, 9}};
    each(context, at_the_end(&info, INFO_SIZE));
}

static int32_t devices(const void *driver, vv_each *each, void *context, const vv_why *why) {
#ifdef LIBRARY
    return fail(why, VV_UNAVAILABLE, LIBRARY " cannot be opened", "install it", 0);
#endif
#ifdef LINES
    return fail(why, VV_DEVICE, "one\ntwo\n\n three", "", 0);
#endif
    tell(each, context);
    return VV_OK;
}

static int32_t open_device(const void *driver, uint64_t index, vv_quirks quirks, vv_device *device, const vv_why *why) {
    if (index != 0) return fail(why, VV_INVALID, "only one", "", 0);
    if (quirks == (1 | 2 << 2)) return fail(why, VV_INVALID, "nvidia off, patch on", "", 0);
#ifndef NO_DEVICE
    static int any;
    *device = &any;
#endif
    return VV_OK;
}

static int32_t close_device(vv_device device, const vv_why *why) { return VV_OK; }

static int32_t info(vv_device device, vv_each *each, void *context, const vv_why *why) {
#ifndef SILENT
    tell(each, context);
#endif
    return VV_OK;
}

/* Succeeds without a binary, except with the headers "null" and "huge": then the binary is impossible. */
static int32_t compile(vv_device device, vv_bytes header, const vv_bytes *units, size_t count, uint32_t registers,
                       vv_progress *progress, vv_output *output, void *context, const vv_why *why) {
    progress(context, 1, 2);
    progress(context, 3, 2);
    if (header.len == 4 && !memcmp(header.data, "null", 4)) output(context, (vv_bytes){0, 5});
    if (header.len == 4 && !memcmp(header.data, "huge", 4)) output(context, (vv_bytes){header.data, SIZE_MAX});
    return VV_OK;
}
/* A module's handle is the first byte of its binary. */
static int32_t load(vv_device device, vv_bytes binary, uint64_t *module, const vv_why *why) {
    if (binary.len == 0) return fail(why, VV_COMPILE, "the log", "", 0);
    *module = binary.data[0];
    return VV_OK;
}
/* A kernel's handle is the first byte of its name. */
static int32_t kernel(vv_device device, uint64_t module, vv_bytes name, uint64_t *kernel, const vv_why *why) {
    if (name.len == 0) return 77; /* No such code, and nothing reported. */
    *kernel = name.data[0];
    return VV_OK;
}
static int32_t resident(vv_device device, uint64_t kernel, uint32_t lanes, uint32_t *tiles, const vv_why *why) {
    *tiles = lanes;
    return VV_OK;
}
/* The handle of memory is its size. */
static int32_t alloc(vv_device device, uint64_t bytes, uint64_t *buffer, const vv_why *why) {
    if (bytes == 12) return fail(why, VV_OUT_OF_MEMORY, "cupboards", "", bytes);
    *buffer = bytes;
    return VV_OK;
}
/* For 1 and 2 bytes no pointer, for 3 an odd one, and for all other sizes the same. */
static int32_t memory(vv_device device, size_t bytes, uint64_t *id, uint8_t **pointer, const vv_why *why) {
    static _Alignas(64) uint8_t place[64];
    *id = bytes;
    if (bytes > 2) *pointer = bytes == 3 ? place + 1 : place;
    return VV_OK;
}
static int32_t on_one(vv_device device, uint64_t handle, const vv_why *why) {
    return fail(why, VV_DEVICE, "\xff broken text", "", 0);
}
static int32_t queue(vv_device device, uint32_t urgent, uint64_t *queue, const vv_why *why) {
    *queue = 1;
    return VV_OK;
}
/* Counts how often a queue was finished. */
static int finished;
static int32_t finish(vv_device device, uint64_t queue, const vv_why *why) {
    finished++;
    return fail(why, VV_DEVICE, "\xff broken text", "", 0);
}
/* Gives no event. */
static int32_t write_(vv_device device, uint64_t queue, uint64_t dst, uint64_t offset, const uint8_t *src, size_t bytes,
                      uint64_t *event, const vv_why *why) {
    return VV_OK;
}
/* Its event is how often a queue was finished. */
static int32_t read_(vv_device device, uint64_t queue, uint64_t src, uint64_t offset, uint8_t *dst, size_t bytes,
                     uint64_t *event, const vv_why *why) {
    *event = finished;
    return VV_OK;
}
/* Its event is made of its arguments. */
static int32_t launch(vv_device device, uint64_t queue, uint64_t kernel, const uint64_t *args, size_t count,
                      uint32_t tiles, uint32_t lanes, uint64_t *event, const vv_why *why) {
    *event = tiles * 1000000 + lanes * 10000 + count * 1000;
    for (size_t i = 0; i < count; i++) *event += args[i];
    return VV_OK;
}
static int32_t reached(vv_device device, uint64_t event, uint32_t *reached, const vv_why *why) {
    *reached = 2;
    return VV_OK;
}
/* An odd event ends before it begins. */
static int32_t times(vv_device device, uint64_t event, uint64_t *begin, uint64_t *end, const vv_why *why) {
    *begin = event % 2 ? 7 : 3;
    *end = 5;
    return VV_OK;
}

static int32_t examine(const void *driver, vv_bytes architecture, vv_bytes header, const vv_bytes *units, size_t count,
                       uint32_t registers, vv_costs *costs, void *context, const vv_why *why) {
    vv_cost cost = {text("f"), 0.5, 1, 16, 2, 3};
    switch (architecture.data[0]) {
    case '0': costs(context, 4, 1.5, 0, 3); break;
    case 'h': costs(context, 4, 1.5, &cost, SIZE_MAX); break;
    case 'n': costs(context, 4, 0.0 / 0.0, &cost, 1); break;
    case '-': cost.seconds = -1; costs(context, 4, 1.5, &cost, 1); break;
    case 't': cost.name.data = 0; costs(context, 4, 1.5, &cost, 1); break;
    }
    cost = (vv_cost){text("f"), 0.5, 1, 16, 2, 3};
    costs(context, 4, 1.5, &cost, 1);
#ifdef TWICE
    costs(context, 4, 1.5, &cost, 1);
#endif
    return VV_OK;
}

const vv_table *QUERY(uint32_t highest) {
    static vv_table table = {
        VERSION, SIZE, {0}, 0, 0, devices, open_device, close_device, info, compile, load, on_one, kernel, resident,
        alloc, on_one, memory, on_one, memory, on_one, queue, on_one, write_, read_, launch, finish, reached, on_one, times, on_one,
        examine,
    };
    table.name = text(NAME);
#ifdef TOO_NEW
    return 0;
#endif
#ifdef MISSING
    table.MISSING = 0;
#endif
#ifdef CUT
    /* A newer plugin's has more entries. */
    struct { vv_table now; void *later[2]; } grown = {table, {0, 0}};
    return at_the_end(&grown, SIZE);
#endif
    return &table;
}
