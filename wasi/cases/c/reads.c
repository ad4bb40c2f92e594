// Calls of WASI preview 1 in a folder that is only read: `reads CASE NUMBER disk|memory` runs one case, and the last word
// does not matter. Every line that it prints is the same in other runtimes.
#pragma clang diagnostic ignored "-Wunused-function"
#include "case.h"

// A descriptor that is not open.
#define NONE 55

static void read_all(void) {
    SAY("%s", content("text"));
    SAY("[%s]", content("empty"));
    SAY("%s", content("below/deep/text"));
    SAY("%s", content("größe"));
    char name[16];
    sprintf(name, "many/f%02d", number + 1);
    SAY("%s", content(name));
    uint32_t hash = 0;
    for (const char *at = content("long"); *at; at++) hash = hash * 31 + (uint8_t)*at;
    SAY("%u", hash);
}
static void read_in_parts(void) {
    static char parts[3][700];
    Buffer buffers[4] = {{parts[0], 7 + number}, {0, 0}, {parts[1], 601}, {parts[2], 699}};
    uint32_t n = 0;
    TRY(opens("long", 0, READ));
    for (int i = 0; i < 5; i++) {
        // All buffers are filled where there is enough, but not in every runtime.
        for (uint32_t all = 0; all < 650; all += n) {
            buffers[0].length = 650 - all < 40 ? 650 - all : 7 + number;
            buffers[2].length = buffers[0].length == 650 - all ? 0 : 650 - all - buffers[0].length;
            if (raw_fd_read(fd, buffers, 3, &n) || !n) return (void)SAY("stopped");
        }
        uint64_t at = 0;
        TRY(raw_fd_tell(fd, &at));
        SAY("%d", (int)at);
    }
    Buffer one = {parts[0], 20};
    TRY(raw_fd_pread(fd, &one, 1, 1000 * number, &n));
    SAY("%u %.*s", n, (int)n, parts[0]);
    TRY(raw_fd_pread(fd, &one, 1, 100000000, &n));
    SAY("%u", n);
    TRY(raw_fd_pread(fd, &one, 1, -1, &n));
    SAY("%u", n);
    TRY(raw_fd_pread(fd, &one, 0, 5, &n));
    SAY("%u", n);
    TRY(raw_fd_pread(RO, &one, 1, 0, &n));
    TRY(raw_fd_pread(NONE, &one, 1, 0, &n));
    TRY(raw_fd_pread(0, &one, 1, 0, &n));
    TRY(raw_fd_read(RO, &one, 1, &n));
    TRY(raw_fd_read(NONE, &one, 1, &n));
}
static void seek(void) {
    uint64_t at = 0;
    TRY(opens("text", 0, READ));
    TRY(seeks(fd, 4, 0));
    TRY(reads(fd, 2));
    SAY("%s", text);
    TRY(seeks(fd, -3, 1));
    TRY(reads(fd, 1));
    SAY("%s", text);
    TRY(seeks(fd, -1, 2));
    TRY(reads(fd, 9));
    SAY("%s", text);
    TRY(seeks(fd, 100, 1));
    TRY(reads(fd, 9));
    SAY("[%s]", text);
    TRY(seeks(fd, 5, 0));
    TRY(seeks(fd, -6, 1));
    TRY(seeks(fd, -11, 2));
    TRY(seeks(fd, -1, 0));
    TRY(seeks(fd, 0, 1));
    TRY(seeks(RO, 0, 0));
    TRY(seeks(NONE, 0, 0));
    TRY(seeks(1, 0, 0));
    TRY(raw_fd_tell(RO, &at));
    TRY(raw_fd_tell(NONE, &at));
    TRY(raw_fd_tell(1, &at));
}
// What all calls say of a path.
static void asks(const char *path) {
    for (const char *at = path; *at; at++) putchar(*at < 0 ? '?' : *at);
    putchar(':');
    for (int look = 0; look < 2; look++) {
        for (int flags = 0; flags <= DIRECTORY; flags += DIRECTORY) {
            int errno_ = opens_at(dir, path, flags, READ, 0, look);
            printf(" %d", errno_);
            if (errno_) continue;
            Stat stat = {0};
            printf("/%d", raw_fd_filestat_get(fd, &stat));
            if (stat.kind == 4) {
                reads(fd, 5);
                printf("/%d/%s", (int)stat.size, text);
            }
            closes(fd);
        }
        Stat stat = {0};
        printf(" %d", raw_path_filestat_get(dir, look, S(path), &stat));
        if (stat.kind) printf("/%d/%d", stat.kind, stat.kind == 3 ? 0 : (int)stat.size);
    }
    char target[64] = "";
    uint32_t n = 0;
    printf(" %d", raw_path_readlink(dir, S(path), target, sizeof target, &n));
    SAY(" %.*s", (int)n, target);
}
static void paths(void) {
    static const char *const paths[] = {
        "text", "text/", "text/.", "text/..", "text/x", "./text", "././/text", "below", "below/", "below/.", "below//text",
        "below/../text", "below/../../text", "below/..", "below/../", "..", "../", "../read", "../read/text", ".", "./", "",
        "/", "/text", "//", "none", "none/", "none/x", "none/..", "none/../..", "link", "link/", "link/.", "link/x", "chain",
        "folder", "folder/", "folder/.", "folder/..", "folder/../text", "folder/text", "folder//deep/", "folder/deep/../text",
        "up", "out", "out/", "out/x", "absolute", "absolute/", "loop", "loop/", "loop/x", "dangling", "dangling/",
        "dangling/x", "slashed", "slashed/", "slashed/text", "filed", "filed/", "filed/x", "below/back", "below/back/",
        "below/out", "folder/out", "folder/back", "below/around", "below/around/text", "below/around/../text",
        "self", "self/", "self/text", "self/self/self/link", "self/..", "self/../..", "größe", "gr\xc3", "gr\xf6\xdf", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\xc0\xaf", "\xf0\x9f\x98\x80", "many", "many/f00", "many/f01", "many/f40", "many/f41", "many/f", "many/f4",
        "many/f400", "a", "z", "~", "Text", "tex", "textt",
    };
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) asks(paths[i]);
    // Below an open folder, which nothing leads out of either.
    TRY(opens("below", DIRECTORY, READ));
    dir = fd;
    asks("text");
    asks("deep/../text");
    asks("..");
    asks("../text");
    asks("back");
    asks("out");
    asks("around");
    asks("deep");
    asks(".");
}
static void long_paths(void) {
    static char path[17000];
    for (int i = 0; i < 2040; i++) memcpy(path + 2 * i, "./", 2);
    strcpy(path + 4080, "text");
    TRY(opens(path, 0, READ));
    memset(path, '/', sizeof path);
    memcpy(path, "below", 5);
    strcpy(path + 4000, "text");
    TRY(opens(path, 0, READ));
    strcpy(path + 4090, "/text");
    TRY(opens(path, 0, READ));
    memset(path, 'x', 255);
    path[255] = 0;
    TRY(opens(path, 0, READ));
    TRY(stats(path, FOLLOW));
    memset(path, 'x', 256);
    path[256] = 0;
    TRY(opens(path, 0, READ));
    TRY(stats(path, FOLLOW));
    TRY(raw_path_open(dir, 0, "te\0t", 4, 0, READ, ALL, 0, &fd));
    Stat stat;
    TRY(raw_path_filestat_get(dir, FOLLOW, "text\0", 5, &stat));
    TRY(raw_path_open(dir, 0, "textual", 4, 0, READ, ALL, 0, &fd));
}
static void the_line_that_is_read(void) {
    char path[4096];
    while (fgets(path, sizeof path, stdin)) {
        path[strcspn(path, "\n")] = 0;
        asks(path);
    }
}
static void list_folders(void) {
    TRY(lists(RO, 4096));
    TRY(lists(RO, 100 + number));
    TRY(opens("many", DIRECTORY, READ));
    TRY(lists(fd, 64 + number));
    TRY(lists(fd, 2000));
    TRY(opens("below/deep", DIRECTORY, READ));
    TRY(lists(fd, 4096));
    char buffer[64];
    uint32_t used = 0;
    TRY(raw_fd_readdir(fd, buffer, 64, 3, &used));
    SAY("%u", used);
    TRY(raw_fd_readdir(fd, buffer, 64, 1000, &used));
    SAY("%u", used);
    TRY(raw_fd_readdir(fd, buffer, 0, 0, &used));
    SAY("%u", used);
    for (uint64_t next = 0; next < 2; next++) {
        TRY(raw_fd_readdir(fd, buffer, 25 + next, next, &used));
        SAY("%u %d %.*s", used, buffer[16], (int)used - 24, buffer + 24);
    }
    TRY(opens("text", 0, READ));
    TRY(raw_fd_readdir(fd, buffer, 64, 0, &used));
    TRY(raw_fd_readdir(1, buffer, 64, 0, &used));
    TRY(raw_fd_readdir(NONE, buffer, 64, 0, &used));
}
static void inodes_and_times(void) {
    Stat of[3] = {0};
    char entries[2000];
    uint32_t used = 0;
    TRY(raw_path_filestat_get(dir, 0, S("text"), &of[0]));
    TRY(raw_path_filestat_get(dir, FOLLOW, S("link"), &of[1]));
    TRY(opens("text", 0, READ));
    TRY(raw_fd_filestat_get(fd, &of[2]));
    SAY("%d %d", of[0].ino == of[1].ino && of[1].ino == of[2].ino, of[0].mtim == of[1].mtim && of[1].mtim == of[2].mtim);
    SAY("%d", of[0].mtim > 1000000000000000000 && of[0].ctim > 1000000000000000000 && of[0].atim > 1000000000000000000);
    SAY("%d %d %d", (int)of[0].links, (int)of[0].size, of[0].dev == of[1].dev);
    TRY(raw_path_filestat_get(dir, 0, S("link"), &of[1]));
    SAY("%d %d", of[0].ino != of[1].ino, of[1].kind);
    TRY(raw_fd_filestat_get(RO, &of[1]));
    SAY("%d", of[1].kind);
    TRY(raw_fd_readdir(RO, entries, sizeof entries, 0, &used));
    for (uint32_t at = 0; at + 24 <= used;) {
        uint64_t inode;
        uint32_t length;
        memcpy(&inode, entries + at + 8, 8);
        memcpy(&length, entries + at + 16, 4);
        if (length == 4 && !memcmp(entries + at + 24, "text", 4)) SAY("%d", inode == of[0].ino);
        if (length == 1) SAY("%d", inode == of[1].ino);
        at += 24 + length;
    }
}
static void stays(int fd) {
    FdStat about = {0};
    int errno_ = raw_fd_fdstat_get(fd, &about);
    SAY("errno %d, kind %d, flags %d, %llx %llx", errno_, about.kind, about.flags, (unsigned long long)about.rights,
        (unsigned long long)about.inherited);
}
static void descriptors(void) {
    stays(RO);
    TRY(opens("text", 0, READ));
    stays(fd);
    TRY(opens("text", 0, 0));
    stays(fd);
    int file = fd;
    TRY(opens("below", 0, READ));
    stays(fd);
    TRY(opens_at(dir, "text", 0, READ, APPEND | NONBLOCK, FOLLOW));
    stays(fd);
    stays(NONE);
    for (int flags = 0; flags < 32; flags += flags < 8 ? 1 : 7) {
        TRY(raw_fd_fdstat_set_flags(file, flags));
        stays(file);
    }
    TRY(raw_fd_fdstat_set_flags(RO, 0));
    TRY(raw_fd_fdstat_set_flags(NONE, 0));
    TRY(raw_fd_fdstat_set_rights(file, 0, 0));
    TRY(raw_fd_fdstat_set_rights(NONE, 0, 0));
    TRY(raw_fd_sync(file));
    TRY(raw_fd_datasync(file));
    TRY(raw_fd_sync(RO));
    TRY(raw_fd_sync(NONE));
    for (int advice = 0; advice < 6; advice++) TRY(raw_fd_advise(file, 0, 1, advice));
    TRY(raw_fd_advise(RO, 0, 1, 0));
    TRY(raw_fd_advise(NONE, 0, 1, 0));
    TRY(raw_fd_advise(1, 0, 1, 0));
    uint32_t n;
    Buffer buffer = {text, 10};
    int all[] = {file, RO, 0, NONE};
    for (int i = 0; i < 4; i++) {
        TRY(raw_sock_accept(all[i], 0, &file));
        TRY(raw_sock_recv(all[i], &buffer, 1, 0, &n, &n));
        TRY(raw_sock_send(all[i], &buffer, 1, 0, &n));
        TRY(raw_sock_shutdown(all[i], 1));
    }
}
static void the_given_folder(void) {
    char name[32] = "";
    uint32_t about[2] = {0};
    for (int i = 0; i < 4; i++) {
        int errno_ = raw_fd_prestat_get(i, about);
        SAY("%d: errno %d, kind %d, %d bytes", i, errno_, about[0] & 255, about[1]);
    }
    TRY(raw_fd_prestat_dir_name(RO, name, about[1]));
    SAY("%s", name);
    TRY(raw_fd_prestat_dir_name(RO, name, about[1] - 1));
    TRY(raw_fd_prestat_dir_name(RO, name, 32));
    TRY(raw_fd_prestat_dir_name(1, name, 32));
    TRY(raw_fd_prestat_dir_name(NONE, name, 32));
    TRY(opens("below", 0, READ));
    TRY(raw_fd_prestat_get(fd, about));
    TRY(raw_fd_prestat_dir_name(fd, name, 32));
    TRY(raw_fd_prestat_get(NONE, about));
    TRY(closes(RO));
    TRY(closes(RO));
    TRY(raw_fd_prestat_get(RO, about));
    dir = fd;
    TRY(opens("text", 0, READ));
    SAY("%d", fd == RO);
    TRY(raw_fd_prestat_get(RO, about));
    TRY(reads(fd, 20));
    SAY("%s", text);
}
static void numbers(void) {
    int all[12];
    for (int i = 0; i < 12; i++) {
        if (opens(i % 3 ? "text" : "below", 0, READ)) SAY("no");
        all[i] = fd;
    }
    // They follow each other.
    for (int i = 1; i < 12; i++) printf("%d ", all[i] - all[0]);
    for (int i = 2; i < 9; i += 3) TRY(closes(all[i]));
    TRY(closes(all[2]));
    for (int i = 0; i < 4; i++) {
        TRY(opens("text", 0, READ));
        SAY("%d", fd - all[0]);
    }
    TRY(seeks(fd, 3, 0));
    TRY(raw_fd_renumber(fd, all[4]));
    TRY(reads(all[4], 2));
    SAY("%s", text);
    TRY(raw_fd_renumber(fd, all[4]));
    TRY(raw_fd_renumber(all[4], fd));
    TRY(raw_fd_renumber(all[4], all[4]));
    TRY(raw_fd_renumber(NONE, all[4]));
    TRY(raw_fd_renumber(all[4], NONE));
    TRY(raw_fd_renumber(RO, all[0]));
    uint32_t about[2];
    TRY(raw_fd_prestat_get(all[0], about));
    TRY(raw_fd_prestat_get(RO, about));
    dir = all[0];
    int last = fd;
    for (int i = 0; i < 3; i++) {
        TRY(opens("text", 0, READ));
        SAY("%d %d", fd == RO, fd == last);
    }
    for (int i = 0; i < 12; i++) printf("%d ", closes(all[i]));
    for (int i = 0; i < 12; i++) printf("%d ", closes(all[i]));
}
static void a_file_as_standard_input(void) {
    char line[64] = "";
    TRY(opens("below/text", 0, READ));
    TRY(raw_fd_renumber(fd, 0));
    SAY("%s", fgets(line, sizeof line, stdin) ? line : "nothing");
    TRY(closes(0));
    TRY(opens("text", 0, READ));
    SAY("%d", fd > 3);
    TRY(closes(2));
    TRY(opens("text", 0, READ));
    SAY("%d", fd > 3);
    TRY(raw_fd_renumber(NONE, 1));
    TRY(raw_fd_renumber(1, NONE));
}
static void files_are_no_folders(void) {
    Stat stat;
    TRY(opens("text", 0, READ));
    dir = fd;
    asks("x");
    asks("");
    dir = NONE;
    asks("x");
    dir = 1;
    asks("x");
    TRY(raw_path_filestat_get(1, 0, S("x"), &stat));
}
static void nothing_is_written(void) {
    uint32_t n = 0;
    Buffer buffer = {"x", 1};
    TRY(opens("new", CREAT, READ));
    TRY(opens("new", CREAT | EXCL, READ));
    TRY(opens("new", EXCL, READ));
    TRY(opens("text", CREAT, READ));
    TRY(opens("text", TRUNC, READ));
    TRY(opens("text", EXCL, READ));
    TRY(opens("text", 0, WRITE));
    TRY(opens("text", 0, READ | WRITE));
    TRY(opens("none/text", CREAT, READ));
    TRY(opens("below", DIRECTORY, WRITE));
    TRY(opens_at(dir, "text", 0, READ, SYNC, FOLLOW));
    TRY(opens_at(dir, "text", 0, READ, DSYNC, FOLLOW));
    TRY(opens_at(dir, "text", 0, READ, RSYNC, FOLLOW));
    TRY(opens("text", 0, READ));
    int file = fd;
    TRY(raw_fd_write(file, &buffer, 1, &n));
    TRY(raw_fd_write(RO, &buffer, 1, &n));
    TRY(raw_fd_write(NONE, &buffer, 1, &n));
    TRY(raw_fd_pwrite(file, &buffer, 1, 0, &n));
    TRY(raw_fd_pwrite(RO, &buffer, 1, 0, &n));
    TRY(raw_fd_pwrite(NONE, &buffer, 1, 0, &n));
    TRY(raw_fd_allocate(file, 0, 1));
    TRY(raw_fd_allocate(RO, 0, 1));
    TRY(raw_fd_allocate(NONE, 0, 1));
    TRY(raw_fd_filestat_set_size(RO, 1));
    TRY(raw_fd_filestat_set_size(NONE, 1));
    TRY(raw_fd_filestat_set_times(file, 1, 1, 1));
    TRY(raw_fd_filestat_set_times(RO, 1, 1, 4));
    TRY(raw_fd_filestat_set_times(NONE, 1, 1, 1));
    TRY(raw_fd_filestat_set_times(1, 1, 1, 1));
    TRY(raw_fd_filestat_set_times(file, 1, 1, 3));
    TRY(raw_path_filestat_set_times(RO, FOLLOW, S("text"), 1, 1, 1));
    TRY(raw_path_filestat_set_times(RO, FOLLOW, S("none"), 1, 1, 1));
    TRY(raw_path_filestat_set_times(RO, FOLLOW, S("text"), 1, 1, 12));
    TRY(raw_path_filestat_set_times(file, 0, S("text"), 1, 1, 1));
    TRY(raw_path_filestat_set_times(NONE, 0, S("text"), 1, 1, 1));
    int all[] = {RO, file, 1, NONE};
    for (int i = 0; i < 4; i++) {
        TRY(raw_path_create_directory(all[i], S("new")));
        TRY(raw_path_create_directory(all[i], S("below")));
        TRY(raw_path_remove_directory(all[i], S("below")));
        TRY(raw_path_unlink_file(all[i], S("none")));
        TRY(raw_path_symlink(S("text"), all[i], S("new")));
        TRY(raw_path_link(all[i], 0, S("text"), RO, S("new")));
        TRY(raw_path_link(RO, 0, S("text"), all[i], S("new")));
        TRY(raw_path_rename(all[i], S("text"), RO, S("new")));
        TRY(raw_path_rename(RO, S("text"), all[i], S("new")));
    }
    TRY(raw_path_unlink_file(RO, S("\xc3")));
    TRY(raw_path_rename(RO, S("text"), RO, S("\xff")));
    TRY(lists(RO, 4096));
}

#define CASE(name) {#name, name}
static const struct { const char *name; void (*run)(void); } cases[] = {
    CASE(read_all), CASE(read_in_parts), CASE(seek), CASE(paths), CASE(long_paths), CASE(the_line_that_is_read),
    CASE(list_folders), CASE(inodes_and_times), CASE(descriptors), CASE(the_given_folder), CASE(numbers),
    CASE(a_file_as_standard_input), CASE(files_are_no_folders), CASE(nothing_is_written),
};

// `reads` lists the cases.
int main(int argc, char **argv) {
    int count = sizeof cases / sizeof *cases;
    if (argc < 3) {
        for (int i = 0; i < count; i++) puts(cases[i].name);
        return 0;
    }
    number = atoi(argv[2]);
    dir = RO;
    for (int i = 0; i < count; i++) {
        if (strcmp(cases[i].name, argv[1])) continue;
        cases[i].run();
        return 0;
    }
    SAY("no case %s", argv[1]);
    return 2;
}
