// What the cases share: printing, and the calls of WASI with strings.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

// The descriptors that every case is given: a folder that may be read, one that may be written, and one in memory.
#define RO 3
#define RW 4
#define SCRATCH 5

#define ALL (~0ull >> 34)
#define READ __WASI_RIGHTS_FD_READ
#define WRITE __WASI_RIGHTS_FD_WRITE

static int number; // of the VM
static int dir;    // an empty folder of its own

#define SAY(...) (printf(__VA_ARGS__), putchar('\n'))
// A call and its errno.
#define TRY(call) SAY("%s = %d", #call, (int)(call))

#define RAW(name, ...) \
    extern int32_t raw_##name(__VA_ARGS__) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)));
RAW(fd_advise, int32_t, int64_t, int64_t, int32_t)
RAW(fd_allocate, int32_t, int64_t, int64_t)
RAW(fd_close, int32_t)
RAW(fd_datasync, int32_t)
RAW(fd_fdstat_get, int32_t, void *)
RAW(fd_fdstat_set_flags, int32_t, int32_t)
RAW(fd_fdstat_set_rights, int32_t, int64_t, int64_t)
RAW(fd_filestat_get, int32_t, void *)
RAW(fd_filestat_set_size, int32_t, int64_t)
RAW(fd_filestat_set_times, int32_t, int64_t, int64_t, int32_t)
RAW(fd_pread, int32_t, const void *, int32_t, int64_t, uint32_t *)
RAW(fd_prestat_get, int32_t, void *)
RAW(fd_prestat_dir_name, int32_t, char *, int32_t)
RAW(fd_pwrite, int32_t, const void *, int32_t, int64_t, uint32_t *)
RAW(fd_read, int32_t, const void *, int32_t, uint32_t *)
RAW(fd_readdir, int32_t, void *, int32_t, int64_t, uint32_t *)
RAW(fd_renumber, int32_t, int32_t)
RAW(fd_seek, int32_t, int64_t, int32_t, uint64_t *)
RAW(fd_sync, int32_t)
RAW(fd_tell, int32_t, uint64_t *)
RAW(fd_write, int32_t, const void *, int32_t, uint32_t *)
RAW(path_create_directory, int32_t, const char *, int32_t)
RAW(path_filestat_get, int32_t, int32_t, const char *, int32_t, void *)
RAW(path_filestat_set_times, int32_t, int32_t, const char *, int32_t, int64_t, int64_t, int32_t)
RAW(path_link, int32_t, int32_t, const char *, int32_t, int32_t, const char *, int32_t)
RAW(path_open, int32_t, int32_t, const char *, int32_t, int32_t, int64_t, int64_t, int32_t, int32_t *)
RAW(path_readlink, int32_t, const char *, int32_t, char *, int32_t, uint32_t *)
RAW(path_remove_directory, int32_t, const char *, int32_t)
RAW(path_rename, int32_t, const char *, int32_t, int32_t, const char *, int32_t)
RAW(path_symlink, const char *, int32_t, int32_t, const char *, int32_t)
RAW(path_unlink_file, int32_t, const char *, int32_t)
RAW(sock_accept, int32_t, int32_t, int32_t *)
RAW(sock_recv, int32_t, const void *, int32_t, int32_t, uint32_t *, uint32_t *)
RAW(sock_send, int32_t, const void *, int32_t, int32_t, uint32_t *)
RAW(sock_shutdown, int32_t, int32_t)

typedef struct { const void *at; uint32_t length; } Buffer;
typedef struct { uint64_t dev, ino; uint8_t kind; uint64_t links, size, atim, mtim, ctim; } Stat;
typedef struct { uint8_t kind; uint16_t flags; uint64_t rights, inherited; } FdStat;

#define CREAT 1
#define DIRECTORY 2
#define EXCL 4
#define TRUNC 8
#define APPEND 1
#define DSYNC 2
#define NONBLOCK 4
#define RSYNC 8
#define SYNC 16
#define FOLLOW 1
#define S(text) (text), (int32_t)strlen(text)

static int fd; // what `opens` opened

static int opens_at(int at, const char *path, int flags, uint64_t rights, int fdflags, int look) {
    int32_t new = -1;
    int errno_ = raw_path_open(at, look, S(path), flags, rights, ALL, fdflags, &new);
    if (!errno_) fd = new;
    return errno_;
}
static int opens(const char *path, int flags, uint64_t rights) { return opens_at(dir, path, flags, rights, 0, FOLLOW); }
static int closes(int fd) { return raw_fd_close(fd); }
// All of it; a write may be a short one.
static int writes(int fd, const char *text) {
    for (uint32_t left = strlen(text), n; left; left -= n, text += n) {
        Buffer buffer = {text, left};
        int errno_ = raw_fd_write(fd, &buffer, 1, &n);
        if (errno_) return errno_;
    }
    return 0;
}
static int put(const char *path, const char *text) {
    int errno_ = opens(path, CREAT | TRUNC, WRITE);
    if (!errno_) errno_ = writes(fd, text);
    if (!errno_) errno_ = closes(fd);
    return errno_;
}
static char text[100000];
// Up to so many bytes; a read may be a short one.
static int reads(int fd, uint32_t bytes) {
    uint32_t all = 0, n = 1;
    int errno_ = 0;
    while (!errno_ && all < bytes && n) {
        Buffer buffer = {text + all, bytes - all};
        errno_ = raw_fd_read(fd, &buffer, 1, &n);
        if (!errno_) all += n;
    }
    text[all] = 0;
    return all ? 0 : errno_;
}
// What a file has.
static const char *content(const char *path) {
    int errno_ = opens(path, 0, READ);
    if (!errno_) errno_ = reads(fd, sizeof text - 1);
    if (errno_) sprintf(text, "errno %d", errno_);
    else closes(fd);
    return text;
}
static int stats(const char *path, int look) {
    Stat stat;
    int errno_ = raw_path_filestat_get(dir, look, S(path), &stat);
    if (!errno_ && stat.kind == 3) SAY("%s: folder", path);
    else if (!errno_) SAY("%s: kind %d, %d links, %d bytes", path, stat.kind, (int)stat.links, (int)stat.size);
    return errno_;
}
static int makes(const char *path) { return raw_path_create_directory(dir, S(path)); }
static int unlinks(const char *path) { return raw_path_unlink_file(dir, S(path)); }
static int removes(const char *path) { return raw_path_remove_directory(dir, S(path)); }
static int renames(const char *from, const char *to) { return raw_path_rename(dir, S(from), dir, S(to)); }
static int links(const char *from, const char *to) { return raw_path_link(dir, 0, S(from), dir, S(to)); }
static int symlinks(const char *target, const char *path) { return raw_path_symlink(S(target), dir, S(path)); }
static int readlinks(const char *path) {
    char target[64];
    uint32_t n = 0;
    int errno_ = raw_path_readlink(dir, S(path), target, sizeof target, &n);
    if (!errno_) SAY("%s -> %.*s", path, (int)n, target);
    return errno_;
}
static int seeks(int fd, int64_t offset, int whence) {
    uint64_t at = 0;
    int errno_ = raw_fd_seek(fd, offset, whence, &at);
    if (!errno_) SAY("at %lld", (long long)at);
    return errno_;
}
static int compare(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }
// The names in a folder, in order, read with a buffer of so many bytes.
static int lists(int at, uint32_t bytes) {
    static char buffer[4096], *names[256];
    int count = 0;
    uint64_t cookie = 0;
    for (;;) {
        uint32_t used = 0, begin = 0;
        int errno_ = raw_fd_readdir(at, buffer, bytes, cookie, &used);
        if (errno_) return errno_;
        while (begin + 24 <= used) {
            uint32_t length;
            memcpy(&length, buffer + begin + 16, 4);
            if (begin + 24 + length > used) break;
            char *name = malloc(length + 4);
            sprintf(name, "%.*s:%d", (int)length, buffer + begin + 24, buffer[begin + 20]);
            names[count++] = name;
            memcpy(&cookie, buffer + begin, 8);
            begin += 24 + length;
        }
        if (used < bytes) break;
        if (!begin) return -1;
    }
    qsort(names, count, sizeof *names, compare);
    for (int i = 0; i < count; i++) printf("%s ", names[i]);
    SAY("(%d)", count);
    return 0;
}
