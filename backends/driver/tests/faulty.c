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

static vv_bytes text(const char *text) { return (vv_bytes){(const uint8_t *)text, strlen(text)}; }

static int32_t fail(const vv_why *why, int32_t code, const char *what, const char *advice, uint64_t wanted) {
    why->tell(why->context, text(what), text(advice), wanted);
    return code;
}

static void tell(vv_each *each, void *context) {
    vv_info info = {
        .size = INFO_SIZE, .kind = KIND, .language = VV_LANGUAGE_HIP, .flags = VV_TIMER | VV_PATCHED, .lane_width = 64,
        .parallel_tiles = 3, .memory = 1 << 20, .max_alloc = 1 << 10, .name = text("a name"), .identity = text("an identity"),
    };
    each(context, &info);
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
    static int any;
    if (index != 0) return fail(why, VV_INVALID, "only one", "", 0);
    if (quirks == (1 | 2 << 2)) return fail(why, VV_INVALID, "nvidia off, patch on", "", 0);
    *device = &any;
    return VV_OK;
}

static int32_t close_device(vv_device device, const vv_why *why) { return VV_OK; }

static int32_t info(vv_device device, vv_each *each, void *context, const vv_why *why) {
#ifndef SILENT
    tell(each, context);
#endif
    return VV_OK;
}

/* Succeeds without a binary. */
static int32_t compile(vv_device device, vv_bytes header, const vv_bytes *units, size_t count, vv_progress *progress,
                       vv_output *output, void *context, const vv_why *why) {
    progress(context, 1, 2);
    progress(context, 2, 2);
    return VV_OK;
}
static int32_t load(vv_device device, vv_bytes binary, uint64_t *module, const vv_why *why) {
    return fail(why, VV_COMPILE, "the log", "", 0);
}
static int32_t kernel(vv_device device, uint64_t module, vv_bytes name, uint64_t *kernel, const vv_why *why) {
    return 77; /* No such code, and nothing told. */
}
static int32_t resident(vv_device device, uint64_t kernel, uint32_t lanes, uint32_t *tiles, const vv_why *why) {
    *tiles = 7;
    return VV_OK;
}
static int32_t alloc(vv_device device, uint64_t bytes, uint64_t *buffer, const vv_why *why) {
    return fail(why, VV_OUT_OF_MEMORY, "cupboards", "", bytes);
}
/* Succeeds without memory. */
static int32_t memory(vv_device device, size_t bytes, uint64_t *id, uint8_t **pointer, const vv_why *why) {
    return VV_OK;
}
static int32_t on_one(vv_device device, uint64_t handle, const vv_why *why) {
    return fail(why, VV_DEVICE, "\xff broken text", "", 0);
}
static int32_t queue(vv_device device, uint64_t *queue, const vv_why *why) {
    *queue = 1;
    return VV_OK;
}
static int32_t write_(vv_device device, uint64_t queue, uint64_t dst, uint64_t offset, const uint8_t *src, size_t bytes,
                      uint64_t *event, const vv_why *why) {
    return VV_OK;
}
static int32_t read_(vv_device device, uint64_t queue, uint64_t src, uint64_t offset, uint8_t *dst, size_t bytes,
                     uint64_t *event, const vv_why *why) {
    return VV_OK;
}
/* Gives its arguments back as the event. */
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
static int32_t times(vv_device device, uint64_t event, uint64_t *begin, uint64_t *end, const vv_why *why) {
    *begin = 3;
    *end = 5;
    return VV_OK;
}

static int32_t examine(const void *driver, vv_bytes architecture, vv_bytes header, const vv_bytes *units, size_t count,
                       vv_costs *costs, void *context, const vv_why *why) {
    vv_cost cost = {text("f"), 0.5, 1, 2, 3};
    costs(context, 4, 1.5, &cost, 1);
    return VV_OK;
}

const vv_table *QUERY(uint32_t highest) {
    static vv_table table = {
        VERSION, SIZE, {0}, 0, 0, devices, open_device, close_device, info, compile, load, on_one, kernel, resident,
        alloc, on_one, memory, on_one, memory, on_one, queue, on_one, write_, read_, launch, on_one, reached, on_one, times, on_one,
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
    /* Only as many bytes as it says, and nobody may read on. */
    size_t page = sysconf(_SC_PAGESIZE);
    uint8_t *pages = mmap(0, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE)) return 0;
    return memcpy(pages + page - (SIZE), &table, (SIZE) < sizeof(table) ? (SIZE) : sizeof(table));
#endif
    return &table;
}
