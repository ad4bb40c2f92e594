// Calls of WASI preview 1, good and bad: `calls CASE NUMBER` runs one case in a folder on a disk, and in one in memory.
// Every line that it prints is the same in other runtimes.
#include "case.h"

static void open_what_is_not_there(void) {
    TRY(opens("none", 0, READ));
    TRY(opens("none/below", 0, READ));
    TRY(opens("none", DIRECTORY, READ));
    TRY(stats("none", FOLLOW));
    TRY(stats("none/below", 0));
}
static void create(void) {
    TRY(opens("f", CREAT, WRITE));
    TRY(opens("f", CREAT, WRITE));
    TRY(opens("f", CREAT | EXCL, WRITE));
    TRY(opens("g", CREAT | EXCL, READ));
    TRY(stats("f", FOLLOW));
    TRY(stats("g", FOLLOW));
    TRY(opens("none/f", CREAT, WRITE));
}
static void write_and_read(void) {
    char own[32];
    sprintf(own, "I am number %d.", number);
    TRY(put("f", own));
    SAY("%s", content("f"));
    TRY(put("f", "short"));
    SAY("%s", content("f"));
    TRY(stats("f", FOLLOW));
}
static void append(void) {
    TRY(put("f", "one"));
    TRY(opens_at(dir, "f", 0, WRITE, APPEND, FOLLOW));
    TRY(writes(fd, " two"));
    TRY(seeks(fd, 0, 0));
    TRY(writes(fd, " three"));
    TRY(seeks(fd, 0, 1));
    SAY("%s", content("f"));
}
static void append_ignores_the_place_of_a_pwrite(void) {
    uint32_t n = 0;
    Buffer buffer = {"XY", 2};
    TRY(put("f", "one"));
    TRY(opens_at(dir, "f", 0, WRITE, APPEND, FOLLOW));
    TRY(raw_fd_pwrite(fd, &buffer, 1, 0, &n));
    SAY("%u %s", n, content("f"));
}
static void truncate_on_open(void) {
    TRY(put("f", "something long"));
    TRY(opens("f", TRUNC, READ));
    TRY(stats("f", FOLLOW));
    TRY(writes(fd, "new"));
    SAY("%s", content("f"));
}
static void seek(void) {
    TRY(put("f", "0123456789"));
    TRY(opens("f", 0, READ));
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
}
static void seek_badly(void) {
    uint64_t at;
    TRY(put("f", "0123456789"));
    TRY(opens("f", 0, READ));
    TRY(seeks(fd, -1, 0));
    TRY(seeks(fd, -11, 2));
    TRY(seeks(fd, -1, 1));
    TRY(seeks(1, 0, 0));
    TRY(seeks(77, 0, 0));
    TRY(seeks(dir, 0, 0));
    TRY(raw_fd_tell(1, &at));
    TRY(raw_fd_tell(dir, &at));
    TRY(raw_fd_tell(77, &at));
}
static void tell(void) {
    uint64_t at = 7;
    TRY(put("f", "0123456789"));
    TRY(opens("f", 0, READ | WRITE));
    TRY(raw_fd_tell(fd, &at));
    SAY("%d", (int)at);
    TRY(reads(fd, 3));
    TRY(writes(fd, "xy"));
    TRY(raw_fd_tell(fd, &at));
    SAY("%d %s", (int)at, content("f"));
}
static void pread_and_pwrite(void) {
    char some[4] = {0};
    Buffer in = {some, 3}, out = {"ABC", 3};
    uint32_t n = 0;
    TRY(put("f", "0123456789"));
    TRY(opens("f", 0, READ | WRITE));
    int f = fd;
    TRY(raw_fd_pread(f, &in, 1, 5, &n));
    SAY("%u %s", n, some);
    TRY(raw_fd_pwrite(f, &out, 1, 8, &n));
    SAY("%u %s", n, content("f"));
    TRY(seeks(f, 0, 1));
    TRY(raw_fd_pread(f, &in, 1, 50, &n));
    SAY("%u", n);
    TRY(raw_fd_pread(0, &in, 1, 0, &n));
    TRY(raw_fd_pread(dir, &in, 1, 0, &n));
    TRY(raw_fd_pread(77, &in, 1, 0, &n));
    TRY(raw_fd_pwrite(1, &out, 1, 0, &n));
    TRY(raw_fd_pwrite(dir, &out, 1, 0, &n));
    TRY(raw_fd_pwrite(77, &out, 1, 0, &n));
}
static void a_gap_is_zeros(void) {
    TRY(opens("f", CREAT, READ | WRITE));
    TRY(writes(fd, "ab"));
    TRY(seeks(fd, 3, 1));
    TRY(writes(fd, "cd"));
    TRY(seeks(fd, 0, 0));
    TRY(reads(fd, 20));
    for (int i = 0; i < 8; i++) printf("%d ", text[i]);
    TRY(stats("f", FOLLOW));
}
static void set_size(void) {
    TRY(put("f", "0123456789"));
    TRY(opens("f", 0, READ | WRITE));
    TRY(raw_fd_filestat_set_size(fd, 4));
    TRY(stats("f", FOLLOW));
    TRY(raw_fd_filestat_set_size(fd, 6));
    TRY(reads(fd, 20));
    for (int i = 0; i < 7; i++) printf("%d ", text[i]);
    TRY(stats("f", FOLLOW));
    TRY(raw_fd_filestat_set_size(fd, -1));
    TRY(raw_fd_filestat_set_size(dir, 1));
    TRY(raw_fd_filestat_set_size(1, 1));
    TRY(raw_fd_filestat_set_size(77, 1));
    TRY(opens("f", 0, READ));
    TRY(raw_fd_filestat_set_size(fd, 1));
}
static void shows_times(const char *path, int look) {
    Stat stat = {0};
    int errno_ = raw_path_filestat_get(dir, look, S(path), &stat);
    // To follow a link counts as an access on some disks.
    SAY("%s: %d, %llu, %llu", path, errno_, look ? (unsigned long long)stat.atim : 0, (unsigned long long)stat.mtim);
}
static void set_times(void) {
    TRY(put("f", "x"));
    TRY(opens("f", 0, READ));
    TRY(raw_fd_filestat_set_times(fd, 1000000123 + number, 2000000456, 1 | 4));
    shows_times("f", FOLLOW);
    TRY(raw_fd_filestat_set_times(fd, 5, 6000000000, 4));
    shows_times("f", FOLLOW);
    TRY(raw_path_filestat_set_times(dir, FOLLOW, S("f"), 7000000000, 8, 1));
    shows_times("f", FOLLOW);
    TRY(raw_path_filestat_set_times(dir, FOLLOW, S("none"), 7, 8, 1));
    TRY(raw_fd_filestat_set_times(dir, 3000000000, 4000000000, 1 | 4));
    TRY(raw_fd_filestat_set_times(1, 3000000000, 4000000000, 1 | 4));
    TRY(raw_fd_filestat_set_times(77, 3000000000, 4000000000, 1 | 4));
}
static void set_times_to_now(void) {
    Stat stat = {0};
    TRY(put("f", "x"));
    TRY(raw_path_filestat_set_times(dir, FOLLOW, S("f"), 1, 1, 1 | 4));
    TRY(raw_path_filestat_set_times(dir, FOLLOW, S("f"), 0, 0, 2 | 8));
    TRY(raw_path_filestat_get(dir, FOLLOW, S("f"), &stat));
    SAY("%d %d", stat.atim > 1700000000000000000, stat.mtim > 1700000000000000000);
}
static void set_times_badly(void) {
    TRY(put("f", "x"));
    TRY(opens("f", 0, READ));
    TRY(raw_fd_filestat_set_times(fd, 1, 1, 1 | 2));
    TRY(raw_fd_filestat_set_times(fd, 1, 1, 4 | 8));
    TRY(raw_fd_filestat_set_times(77, 1, 1, 1 | 2));
    TRY(raw_path_filestat_set_times(dir, FOLLOW, S("f"), 1, 1, 1 | 2));
    TRY(raw_path_filestat_set_times(1, 1, S("f"), 1, 1, 1));
}
static void set_times_of_a_link(void) {
    TRY(put("f", "x"));
    TRY(symlinks("f", "l"));
    TRY(raw_path_filestat_set_times(dir, 0, S("l"), 1000000000, 2000000000, 1 | 4));
    TRY(raw_path_filestat_set_times(dir, FOLLOW, S("l"), 3000000000, 4000000000, 1 | 4));
    shows_times("f", FOLLOW);
    shows_times("l", 0);
}
static void make_folders(void) {
    TRY(makes("a"));
    TRY(makes("a"));
    TRY(makes("a/b"));
    TRY(makes("none/b"));
    TRY(put("f", "x"));
    TRY(makes("f"));
    TRY(makes("f/b"));
    TRY(makes("c/"));
    TRY(makes("."));
    TRY(makes(""));
    TRY(lists(dir, 4096));
}
static void remove_folders(void) {
    TRY(makes("a"));
    TRY(makes("a/b"));
    TRY(removes("a"));
    TRY(removes("a/b"));
    TRY(removes("a/"));
    TRY(removes("a"));
    TRY(put("f", "x"));
    TRY(removes("f"));
    TRY(removes("none/a"));
    TRY(lists(dir, 4096));
}
static void unlink_files(void) {
    TRY(put("f", "x"));
    TRY(unlinks("f"));
    TRY(unlinks("f"));
    TRY(makes("a"));
    TRY(unlinks("a"));
    TRY(unlinks("none/f"));
    TRY(put("g", "x"));
    TRY(unlinks("g/"));
    TRY(lists(dir, 4096));
}
static void an_open_file_outlives_its_name(void) {
    TRY(put("f", "still here"));
    TRY(opens("f", 0, READ | WRITE));
    int f = fd;
    TRY(unlinks("f"));
    TRY(reads(f, 50));
    SAY("%s", text);
    TRY(writes(f, "!"));
    TRY(put("f", "another"));
    TRY(seeks(f, 0, 0));
    TRY(reads(f, 50));
    SAY("%s, %s", text, content("f"));
}
static void rename_files(void) {
    TRY(put("f", "one"));
    TRY(put("g", "two"));
    TRY(renames("f", "h"));
    TRY(stats("f", FOLLOW));
    SAY("%s", content("h"));
    TRY(renames("h", "g"));
    SAY("%s", content("g"));
    TRY(renames("none", "x"));
    TRY(renames("g", "none/x"));
    TRY(renames("g", "g"));
    TRY(makes("a"));
    TRY(renames("g", "a/x"));
    SAY("%s", content("a/x"));
    TRY(lists(dir, 4096));
}
static void rename_folders(void) {
    TRY(makes("a"));
    TRY(makes("a/below"));
    TRY(makes("b"));
    TRY(put("f", "x"));
    TRY(renames("a", "a/below/a"));
    TRY(renames("a", "f"));
    TRY(renames("f", "b"));
    TRY(renames("b", "a"));
    TRY(renames("a", "b"));
    TRY(stats("b/below", FOLLOW));
    TRY(renames("b/below", "c"));
    TRY(lists(dir, 4096));
}
static void rename_between_folders(void) {
    TRY(makes("a"));
    TRY(makes("b"));
    TRY(opens("a", DIRECTORY, READ));
    int a = fd;
    TRY(opens("b", DIRECTORY, READ));
    int b = fd;
    TRY(put("a/f", "moved"));
    TRY(raw_path_rename(a, S("f"), b, S("g")));
    SAY("%s", content("b/g"));
    TRY(raw_path_rename(77, S("f"), b, S("g")));
    TRY(raw_path_rename(b, S("g"), 77, S("g")));
    TRY(raw_path_rename(b, S("g"), 1, S("g")));
    TRY(raw_path_rename(b, S("g"), a, S("../g")));
}
static void hard_links(void) {
    TRY(put("f", "shared"));
    TRY(links("f", "g"));
    TRY(stats("f", FOLLOW));
    TRY(put("g", "by both"));
    SAY("%s", content("f"));
    TRY(unlinks("f"));
    TRY(stats("g", FOLLOW));
    TRY(links("g", "g"));
    TRY(links("none", "h"));
    TRY(makes("a"));
    TRY(links("a", "h"));
    TRY(links("g", "none/h"));
    TRY(raw_path_link(dir, FOLLOW, S("g"), dir, S("h")));
}
static void symbolic_links(void) {
    TRY(put("f", "target"));
    TRY(symlinks("f", "l"));
    TRY(readlinks("l"));
    TRY(stats("l", FOLLOW));
    TRY(stats("l", 0));
    SAY("%s", content("l"));
    TRY(symlinks("f", "l"));
    TRY(readlinks("f"));
    TRY(readlinks("none"));
    TRY(symlinks("f", "none/l"));
    TRY(symlinks("", "m"));
    TRY(unlinks("l"));
    SAY("%s", content("f"));
}
static void a_link_that_is_read_in_part(void) {
    char target[8] = "-------";
    uint32_t n = 0;
    TRY(symlinks("0123456789", "l"));
    TRY(raw_path_readlink(dir, S("l"), target, 4, &n));
    SAY("%u %s", n, target);
    TRY(raw_path_readlink(dir, S("l"), target, 0, &n));
    SAY("%u", n);
}
static void links_that_are_not_followed(void) {
    TRY(put("f", "target"));
    TRY(symlinks("f", "l"));
    TRY(opens_at(dir, "l", 0, READ, 0, 0));
    TRY(opens_at(dir, "l", 0, READ, 0, FOLLOW));
    TRY(opens_at(dir, "l", CREAT | EXCL, WRITE, 0, FOLLOW));
    TRY(opens_at(dir, "l", CREAT, WRITE, 0, 0));
}
static void links_in_a_circle(void) {
    TRY(symlinks("b", "a"));
    TRY(symlinks("a", "b"));
    TRY(opens("a", 0, READ));
    TRY(stats("a", FOLLOW));
    TRY(stats("a", 0));
    TRY(opens("a/x", 0, READ));
    TRY(symlinks("self/x", "self"));
    TRY(opens("self", 0, READ));
}
static void many_links(void) {
    char name[8] = "f", next[8];
    TRY(put("f", "far away"));
    for (int i = 0; i < 45; i++) {
        sprintf(next, "l%d", i);
        if (symlinks(name, next)) SAY("no link %s", next);
        strcpy(name, next);
    }
    SAY("%s", content("l5"));
    SAY("%s", content("l38"));
    TRY(opens("l44", 0, READ));
}
static void a_link_to_nothing(void) {
    TRY(symlinks("later", "l"));
    TRY(opens("l", 0, READ));
    TRY(opens("l", CREAT, WRITE));
    TRY(writes(fd, "made"));
    SAY("%s", content("later"));
}
static void links_to_folders(void) {
    TRY(makes("a"));
    TRY(put("a/f", "inside"));
    TRY(symlinks("a", "l"));
    SAY("%s", content("l/f"));
    TRY(opens_at(dir, "l", DIRECTORY, READ, 0, 0));
    TRY(opens_at(dir, "l", DIRECTORY, READ, 0, FOLLOW));
    TRY(symlinks("../a/f", "a/up"));
    SAY("%s", content("l/up"));
    TRY(removes("l"));
    TRY(unlinks("l"));
    TRY(lists(dir, 4096));
}
static void links_that_lead_out(void) {
    TRY(symlinks("../../../etc/passwd", "out"));
    TRY(opens("out", 0, READ));
    TRY(stats("out", FOLLOW));
    TRY(symlinks("..", "up"));
    TRY(opens("up/x", 0, READ));
    TRY(symlinks("/etc/passwd", "root"));
    TRY(opens("root", 0, READ));
    TRY(symlinks("/", "slash"));
}
static void paths_that_lead_out(void) {
    TRY(makes("a"));
    TRY(put("f", "in"));
    TRY(opens("..", 0, READ));
    TRY(opens("../x", 0, READ));
    TRY(opens("a/../../x", 0, READ));
    TRY(opens("a/../f", 0, READ));
    TRY(opens("/etc/passwd", 0, READ));
    TRY(opens("/", 0, READ));
    TRY(makes("../x"));
    TRY(unlinks("../x"));
    TRY(stats("..", FOLLOW));
    TRY(renames("f", "../f"));
    TRY(links("f", "../f"));
    TRY(symlinks("f", "../f"));
    TRY(readlinks("../f"));
}
static void paths_that_end_with_a_slash(void) {
    TRY(put("f", "x"));
    TRY(makes("a"));
    TRY(opens("a/", 0, READ));
    TRY(opens("f/", 0, READ));
    TRY(opens("new/", CREAT, WRITE));
    TRY(stats("a/", FOLLOW));
    TRY(stats("f/", FOLLOW));
    TRY(symlinks("a", "l"));
    TRY(stats("l/", 0));
    TRY(removes("a/"));
}
static void paths_with_dots(void) {
    TRY(makes("a"));
    TRY(put("a/f", "x"));
    SAY("%s", content("./a/./f"));
    SAY("%s", content("a//f"));
    SAY("%s", content("a/../a/f"));
    TRY(stats(".", FOLLOW));
    TRY(stats("a/.", FOLLOW));
    TRY(opens(".", DIRECTORY, READ));
    TRY(lists(fd, 4096));
    TRY(stats("none/..", FOLLOW));
    TRY(stats("a/f/..", FOLLOW));
    TRY(opens("", 0, READ));
    TRY(stats("", FOLLOW));
}
static void long_names(void) {
    static char name[6000];
    memset(name, 'n', 255);
    TRY(opens(name, CREAT, WRITE));
    name[255] = 'n';
    TRY(opens(name, CREAT, WRITE));
    TRY(stats(name, FOLLOW));
    TRY(makes(name));
    for (int i = 0; i < 5998; i += 2) memcpy(name + i, "./", 2);
    TRY(opens(name, 0, READ));
}
static void names_that_cannot_be(void) {
    TRY(opens("a\xff\xfe", CREAT, WRITE));
    TRY(makes("\x80"));
    TRY(raw_path_create_directory(dir, "a\0b", 3));
    TRY(opens("\xc3\xa4\xe2\x82\xac", CREAT, WRITE));
    TRY(lists(dir, 4096));
}
static void list_a_folder(void) {
    TRY(makes("a"));
    TRY(put("f", "x"));
    TRY(put("a longer name", "x"));
    TRY(symlinks("f", "l"));
    TRY(lists(dir, 4096));
    TRY(lists(dir, 64));
    TRY(opens("a", DIRECTORY, READ));
    TRY(lists(fd, 4096));
}
static void list_a_folder_in_part(void) {
    char buffer[200];
    uint32_t used = 0;
    TRY(put("one", "x"));
    TRY(put("two", "x"));
    TRY(raw_fd_readdir(dir, buffer, 0, 0, &used));
    SAY("%u", used);
    TRY(raw_fd_readdir(dir, buffer, 10, 0, &used));
    SAY("%u", used);
    TRY(raw_fd_readdir(dir, buffer, 60, 0, &used));
    SAY("%u", used);
    TRY(raw_fd_readdir(dir, buffer, 200, 0, &used));
    SAY("%u", used);
    TRY(raw_fd_readdir(dir, buffer, 200, 3, &used));
    SAY("%u", used);
    TRY(raw_fd_readdir(dir, buffer, 200, 4, &used));
    SAY("%u", used);
    TRY(raw_fd_readdir(dir, buffer, 200, 99, &used));
    SAY("%u", used);
}
static void list_what_is_no_folder(void) {
    char buffer[100];
    uint32_t used = 0;
    TRY(put("f", "x"));
    TRY(opens("f", 0, READ));
    TRY(raw_fd_readdir(fd, buffer, 100, 0, &used));
    TRY(raw_fd_readdir(1, buffer, 100, 0, &used));
    TRY(raw_fd_readdir(77, buffer, 100, 0, &used));
}
static void many_files(void) {
    char name[16];
    for (int i = 0; i < 60 + number; i++) {
        sprintf(name, "file%03d", i * 7 % 97);
        if (put(name, name)) SAY("no %s", name);
    }
    TRY(lists(dir, 300));
    for (int i = 0; i < 60 + number; i += 2) {
        sprintf(name, "file%03d", i * 7 % 97);
        if (unlinks(name)) SAY("no %s", name);
    }
    TRY(lists(dir, 4096));
}
static void deep_folders(void) {
    char path[400] = "";
    for (int i = 0; i < 40; i++) {
        sprintf(path + strlen(path), "%sd%d", i ? "/" : "", i);
        if (makes(path)) SAY("no %s", path);
    }
    strcat(path, "/f");
    TRY(put(path, "deep down"));
    SAY("%s", content(path));
    strcpy(path + strlen(path) - 1, "../../../d37/d38/../d38/d39/f");
    SAY("%s", content(path));
}
static int shows_fdstat(int fd) {
    FdStat stat = {0};
    int errno_ = raw_fd_fdstat_get(fd, &stat);
    if (!errno_) SAY("kind %d, flags %d, rights %llx, %llx", stat.kind, stat.flags, stat.rights, stat.inherited);
    return errno_;
}
static void fdstat(void) {
    TRY(put("f", "x"));
    TRY(opens("f", 0, READ));
    TRY(shows_fdstat(fd));
    TRY(opens("f", 0, WRITE));
    TRY(shows_fdstat(fd));
    TRY(opens("f", 0, READ | WRITE));
    TRY(shows_fdstat(fd));
    TRY(opens("f", CREAT, READ));
    TRY(shows_fdstat(fd));
    TRY(opens("f", 0, 0));
    TRY(shows_fdstat(fd));
    TRY(opens_at(dir, "f", 0, WRITE, APPEND | NONBLOCK, FOLLOW));
    TRY(shows_fdstat(fd));
    TRY(shows_fdstat(dir));
    TRY(shows_fdstat(RO));
    TRY(shows_fdstat(RW));
    TRY(shows_fdstat(SCRATCH));
    TRY(shows_fdstat(0));
    TRY(shows_fdstat(1));
    TRY(shows_fdstat(77));
}
static void set_flags(void) {
    TRY(put("f", "0123456789"));
    TRY(opens("f", 0, READ | WRITE));
    TRY(raw_fd_fdstat_set_flags(fd, APPEND));
    TRY(shows_fdstat(fd));
    TRY(writes(fd, "x"));
    TRY(raw_fd_fdstat_set_flags(fd, 0));
    TRY(seeks(fd, 0, 0));
    TRY(writes(fd, "y"));
    TRY(raw_fd_fdstat_set_flags(fd, NONBLOCK));
    TRY(shows_fdstat(fd));
    TRY(raw_fd_fdstat_set_flags(fd, SYNC));
    TRY(raw_fd_fdstat_set_flags(fd, DSYNC));
    TRY(raw_fd_fdstat_set_flags(dir, APPEND));
    TRY(raw_fd_fdstat_set_flags(1, APPEND));
    TRY(raw_fd_fdstat_set_flags(77, APPEND));
    SAY("%s", content("f"));
}
static void set_rights(void) {
    TRY(put("f", "x"));
    TRY(opens("f", 0, READ));
    TRY(raw_fd_fdstat_set_rights(fd, READ, 0));
    TRY(raw_fd_fdstat_set_rights(dir, READ, 0));
    TRY(raw_fd_fdstat_set_rights(1, READ, 0));
    TRY(raw_fd_fdstat_set_rights(77, READ, 0));
}
static void filestat(void) {
    Stat a = {0}, b = {0}, c = {0};
    TRY(put("f", "12345"));
    TRY(links("f", "g"));
    TRY(put("h", "1"));
    TRY(opens("f", 0, READ));
    TRY(raw_fd_filestat_get(fd, &a));
    SAY("%d %d %d, device %d", a.kind, (int)a.links, (int)a.size, (int)a.dev);
    TRY(raw_path_filestat_get(dir, 0, S("g"), &b));
    TRY(raw_path_filestat_get(dir, 0, S("h"), &c));
    SAY("same %d, other %d", a.ino == b.ino, a.ino == c.ino);
    TRY(raw_fd_filestat_get(dir, &a));
    SAY("%d", a.kind);
    TRY(raw_fd_filestat_get(1, &a));
    SAY("%d %d", a.kind, (int)a.size);
    TRY(raw_fd_filestat_get(77, &a));
    TRY(raw_path_filestat_get(fd, 0, S("f"), &a));
    TRY(raw_path_filestat_get(77, 0, S("f"), &a));
}
static void numbers_of_descriptors(void) {
    TRY(put("f", "x"));
    int first = -1;
    for (int i = 0; i < 5; i++) {
        if (opens("f", 0, READ)) SAY("no");
        if (i == 0) first = fd;
        SAY("%d", fd - first);
    }
    TRY(closes(first + 1));
    TRY(closes(first + 3));
    TRY(closes(first + 3));
    for (int i = 0; i < 3; i++) {
        if (opens("f", 0, READ)) SAY("no");
        SAY("%d", fd - first);
    }
    TRY(closes(77));
    TRY(closes(-1));
}
static void renumber(void) {
    TRY(put("f", "first"));
    TRY(put("g", "second"));
    TRY(opens("f", 0, READ));
    int f = fd;
    TRY(opens("g", 0, READ));
    int g = fd;
    TRY(raw_fd_renumber(g, f));
    TRY(reads(f, 20));
    SAY("%s", text);
    TRY(reads(g, 20));
    TRY(raw_fd_renumber(f, 77));
    TRY(raw_fd_renumber(77, f));
    TRY(raw_fd_renumber(f, f));
    TRY(reads(f, 20));
    SAY("[%s]", text);
}
static void a_file_as_standard_input(void) {
    TRY(put("f", "from a file\nand more"));
    TRY(opens("f", 0, READ));
    TRY(raw_fd_renumber(fd, 0));
    TRY(reads(0, 11));
    SAY("%s", text);
    TRY(seeks(0, 1, 1));
    TRY(reads(0, 50));
    SAY("%s", text);
    TRY(shows_fdstat(0));
    TRY(closes(0));
    TRY(reads(0, 1));
    TRY(opens("f", 0, READ));
    SAY("%d", fd);
    TRY(reads(0, 4));
    SAY("%s", text);
}
static void standard_error_into_a_file(void) {
    TRY(opens("log", CREAT, WRITE));
    TRY(raw_fd_renumber(fd, 2));
    fprintf(stderr, "number %d complains\n", number);
    SAY("%s", content("log"));
    TRY(closes(2));
    TRY(writes(2, "gone"));
}
static void streams_are_no_folders(void) {
    TRY(opens_at(0, "f", CREAT, WRITE, 0, FOLLOW));
    TRY(opens_at(1, "f", CREAT, WRITE, 0, FOLLOW));
    TRY(opens_at(77, "f", CREAT, WRITE, 0, FOLLOW));
    TRY(raw_path_create_directory(1, S("f")));
    TRY(raw_path_unlink_file(77, S("f")));
    TRY(raw_path_symlink(S("x"), 1, S("f")));
    TRY(raw_path_link(dir, 0, S("f"), 1, S("g")));
}
static void files_are_no_folders(void) {
    TRY(put("f", "x"));
    TRY(opens("f", 0, READ));
    TRY(opens_at(fd, "g", CREAT, WRITE, 0, FOLLOW));
    TRY(raw_path_create_directory(fd, S("g")));
    TRY(raw_path_unlink_file(fd, S("g")));
    TRY(opens("f/g", 0, READ));
    TRY(opens("f", DIRECTORY, READ));
}
static void given_folders(void) {
    char name[32] = "";
    uint32_t about[2];
    for (int i = 0; i < 9; i++) {
        int errno_ = raw_fd_prestat_get(i, about);
        if (errno_) {
            SAY("%d: errno %d", i, errno_);
            continue;
        }
        memset(name, 0, sizeof name);
        SAY("%d: kind %d, %d bytes", i, about[0] & 255, about[1]);
        TRY(raw_fd_prestat_dir_name(i, name, about[1]));
        SAY("%s", name);
        TRY(raw_fd_prestat_dir_name(i, name, about[1] - 1));
        TRY(raw_fd_prestat_dir_name(i, name, 32));
    }
    TRY(raw_fd_prestat_dir_name(1, name, 32));
    TRY(raw_fd_prestat_dir_name(dir, name, 32));
    TRY(raw_fd_prestat_get(dir, about));
}
static void a_given_folder_can_be_closed(void) {
    TRY(closes(RO));
    TRY(opens_at(RO, "text", 0, READ, 0, FOLLOW));
    TRY(put("f", "x"));
    TRY(opens("f", 0, READ));
    SAY("%d", fd);
}
static void advise(void) {
    TRY(put("f", "x"));
    TRY(opens("f", 0, READ));
    for (int advice = 0; advice < 6; advice++) TRY(raw_fd_advise(fd, 0, 1, advice));
    TRY(raw_fd_advise(dir, 0, 1, 0));
    TRY(raw_fd_advise(1, 0, 1, 0));
    TRY(raw_fd_advise(77, 0, 1, 0));
}
static void allocate(void) {
    TRY(put("f", "x"));
    TRY(opens("f", 0, READ | WRITE));
    TRY(raw_fd_allocate(fd, 0, 100));
    TRY(raw_fd_allocate(dir, 0, 100));
    TRY(raw_fd_allocate(1, 0, 100));
    TRY(raw_fd_allocate(77, 0, 100));
}
static void sync(void) {
    TRY(opens("f", CREAT, WRITE));
    TRY(raw_fd_sync(fd));
    TRY(raw_fd_datasync(fd));
    TRY(raw_fd_sync(dir));
    TRY(raw_fd_datasync(dir));
    TRY(raw_fd_sync(1));
    TRY(raw_fd_datasync(77));
}
static void sockets(void) {
    Buffer buffer = {text, 10};
    uint32_t n;
    int32_t new;
    TRY(opens("f", CREAT, WRITE));
    int all[] = {fd, dir, 0, 1, 77};
    for (int i = 0; i < 5; i++) {
        TRY(raw_sock_accept(all[i], 0, &new));
        TRY(raw_sock_recv(all[i], &buffer, 1, 0, &n, &n));
        TRY(raw_sock_send(all[i], &buffer, 1, 0, &n));
        TRY(raw_sock_shutdown(all[i], 1));
    }
}
static void open_folders(void) {
    TRY(makes("a"));
    TRY(opens("a", 0, READ));
    TRY(shows_fdstat(fd));
    TRY(opens("a", DIRECTORY, READ));
    TRY(opens("a", 0, WRITE));
    TRY(opens("a", DIRECTORY, READ | WRITE));
    TRY(opens("a", CREAT, READ));
    TRY(opens("a", CREAT | EXCL, READ));
    TRY(opens("a", TRUNC, READ));
    TRY(opens("a", DIRECTORY | CREAT, READ));
    TRY(reads(dir, 10));
    TRY(writes(dir, "x"));
}
static void open_below_an_open_folder(void) {
    TRY(makes("a"));
    TRY(put("f", "outside"));
    TRY(put("a/f", "inside"));
    TRY(opens("a", DIRECTORY, READ));
    int a = fd;
    TRY(opens_at(a, "f", 0, READ, 0, FOLLOW));
    TRY(reads(fd, 20));
    SAY("%s", text);
    TRY(opens_at(a, "../f", 0, READ, 0, FOLLOW));
    TRY(opens_at(a, "g", CREAT, WRITE, 0, FOLLOW));
    TRY(lists(a, 4096));
    TRY(raw_path_unlink_file(a, S("f")));
    TRY(raw_path_unlink_file(a, S("g")));
    TRY(removes("a"));
    TRY(opens_at(a, "h", CREAT, WRITE, 0, FOLLOW));
    TRY(lists(a, 4096));
}
static void rights_of_a_file(void) {
    TRY(put("f", "x"));
    TRY(opens("f", 0, READ));
    TRY(writes(fd, "y"));
    TRY(opens("f", 0, WRITE));
    TRY(reads(fd, 1));
    TRY(opens("f", 0, 0));
    TRY(reads(fd, 1));
    TRY(writes(fd, "y"));
    TRY(opens("f", TRUNC, 0));
    TRY(writes(fd, "y"));
    TRY(reads(0, 0));
    TRY(writes(0, "y"));
}
static void flags_that_cannot_be(void) {
    TRY(put("f", "x"));
    TRY(opens_at(dir, "f", 0, READ, SYNC, FOLLOW));
    TRY(opens_at(dir, "f", 0, READ, DSYNC, FOLLOW));
    TRY(opens_at(dir, "f", 0, READ, RSYNC, FOLLOW));
}

static void a_folder_that_is_only_read(void) {
    int own = dir;
    TRY(put("f", "x"));
    dir = RO;
    SAY("%s", content("text"));
    SAY("%s", content("below/text"));
    TRY(stats("text", FOLLOW));
    TRY(lists(RO, 4096));
    TRY(readlinks("link"));
    TRY(opens("new", CREAT, WRITE));
    TRY(opens("text", 0, WRITE));
    TRY(opens("text", TRUNC, READ));
    TRY(opens("text", CREAT, READ));
    TRY(makes("new"));
    TRY(unlinks("text"));
    TRY(unlinks("none"));
    TRY(removes("below"));
    TRY(renames("text", "new"));
    TRY(links("text", "new"));
    TRY(symlinks("text", "new"));
    TRY(raw_path_filestat_set_times(RO, FOLLOW, S("text"), 1, 1, 1));
    TRY(raw_path_rename(RO, S("text"), own, S("text")));
    TRY(raw_path_link(RO, 0, S("text"), own, S("text")));
    TRY(raw_path_rename(own, S("f"), RO, S("f")));
    TRY(opens("text", 0, READ));
    TRY(raw_fd_filestat_set_size(fd, 1));
    TRY(raw_fd_filestat_set_times(fd, 1, 1, 1));
    TRY(writes(fd, "x"));
    TRY(raw_fd_fdstat_set_flags(fd, APPEND));
    TRY(raw_fd_sync(fd));
    TRY(opens("below", DIRECTORY, READ));
    TRY(opens_at(fd, "new", CREAT, WRITE, 0, FOLLOW));
    dir = own;
}
static void several_buffers(void) {
    Buffer out[5] = {{"one ", 4}, {"", 0}, {"two ", 4}, {"three ", 6}, {"four", 4}};
    char a[3], b[5], c[40];
    memset(c, 0, sizeof c);
    TRY(opens("f", CREAT, READ | WRITE));
    for (int i = 0; i < 5;) {
        uint32_t n = 0;
        if (raw_fd_write(fd, out + i, 5 - i, &n)) SAY("no");
        for (; i < 5 && n >= out[i].length; i++) n -= out[i].length;
        if (i < 5) out[i].at = (const char *)out[i].at + n, out[i].length -= n;
    }
    TRY(seeks(fd, 0, 0));
    Buffer in[3] = {{a, 3}, {b, 5}, {c, 40}};
    for (int i = 0; i < 3;) {
        uint32_t n = 0;
        if (raw_fd_read(fd, in + i, 3 - i, &n) || !n) break;
        for (; i < 3 && n >= in[i].length; i++) n -= in[i].length;
        if (i < 3) in[i].at = (const char *)in[i].at + n, in[i].length -= n;
    }
    SAY("[%.3s] [%.5s] [%s]", a, b, c);
}
static void empty_buffers(void) {
    Buffer none = {text, 0};
    uint32_t n = 7;
    TRY(put("f", "x"));
    TRY(opens("f", 0, READ | WRITE));
    TRY(raw_fd_read(fd, &none, 1, &n));
    SAY("%u", n);
    TRY(raw_fd_read(fd, &none, 0, &n));
    SAY("%u", n);
    TRY(raw_fd_write(fd, &none, 1, &n));
    SAY("%u", n);
    TRY(raw_fd_write(fd, &none, 0, &n));
    SAY("%u %s", n, content("f"));
}
static void a_long_file(void) {
    static char block[70000];
    uint32_t sum = 0, all = 0;
    for (uint32_t i = 0; i < sizeof block; i++) block[i] = 'a' + (i * 31 + number) % 26;
    TRY(opens("f", CREAT, READ | WRITE));
    int f = fd;
    for (int i = 0; i < 5; i++) {
        for (uint32_t at = 0, n; at < sizeof block; at += n) {
            Buffer out = {block + at, sizeof block - at};
            if (raw_fd_write(f, &out, 1, &n) || !n) { SAY("no"); return; }
        }
    }
    TRY(stats("f", FOLLOW));
    TRY(seeks(f, 0, 0));
    for (;;) {
        uint32_t n = 0;
        Buffer in = {block, sizeof block};
        if (raw_fd_read(f, &in, 1, &n) || !n) break;
        for (uint32_t i = 0; i < n; i++) sum = sum * 31 + block[i];
        all += n;
    }
    SAY("%u bytes, %u", all, sum);
}
static void much_output_beside_files(void) {
    TRY(put("f", "x"));
    for (int i = 0; i < 3000; i++) SAY("line %d of number %d", i, number);
    TRY(stats("f", FOLLOW));
    fprintf(stderr, "an error of %d\n", number);
}
static void standard_input_beside_files(void) {
    TRY(reads(0, 1000));
    SAY("%s", text);
    TRY(put("f", text));
    TRY(reads(0, 1000));
    SAY("[%s]", text);
    SAY("%s", content("f"));
}
static void two_descriptors_of_a_file(void) {
    TRY(put("f", "0123456789"));
    TRY(opens("f", 0, READ));
    int a = fd;
    TRY(opens("f", 0, READ | WRITE));
    int b = fd;
    TRY(reads(a, 3));
    TRY(writes(b, "AAAA"));
    TRY(reads(a, 3));
    SAY("%s", text);
    TRY(raw_fd_filestat_set_size(b, 7));
    TRY(reads(a, 30));
    SAY("%s", text);
}
static void exits_with_its_number(void) {
    TRY(put("f", "x"));
    fflush(stdout);
    exit(number % 100);
}

#define CASE(name) {#name, name}
static const struct { const char *name; void (*run)(void); } cases[] = {
    CASE(open_what_is_not_there), CASE(create), CASE(write_and_read), CASE(append),
    CASE(append_ignores_the_place_of_a_pwrite), CASE(truncate_on_open), CASE(seek), CASE(seek_badly), CASE(tell),
    CASE(pread_and_pwrite), CASE(a_gap_is_zeros), CASE(set_size), CASE(set_times), CASE(set_times_to_now),
    CASE(set_times_badly), CASE(set_times_of_a_link), CASE(make_folders), CASE(remove_folders), CASE(unlink_files),
    CASE(an_open_file_outlives_its_name), CASE(rename_files), CASE(rename_folders), CASE(rename_between_folders),
    CASE(hard_links), CASE(symbolic_links), CASE(a_link_that_is_read_in_part), CASE(links_that_are_not_followed),
    CASE(links_in_a_circle), CASE(many_links), CASE(a_link_to_nothing), CASE(links_to_folders),
    CASE(links_that_lead_out), CASE(paths_that_lead_out), CASE(paths_that_end_with_a_slash), CASE(paths_with_dots),
    CASE(long_names), CASE(names_that_cannot_be), CASE(list_a_folder), CASE(list_a_folder_in_part),
    CASE(list_what_is_no_folder), CASE(many_files), CASE(deep_folders), CASE(fdstat), CASE(set_flags),
    CASE(set_rights), CASE(filestat), CASE(numbers_of_descriptors), CASE(renumber), CASE(a_file_as_standard_input),
    CASE(standard_error_into_a_file), CASE(streams_are_no_folders), CASE(files_are_no_folders), CASE(given_folders),
    CASE(a_given_folder_can_be_closed), CASE(advise), CASE(allocate), CASE(sync), CASE(sockets), CASE(open_folders),
    CASE(open_below_an_open_folder), CASE(rights_of_a_file), CASE(flags_that_cannot_be),
    CASE(a_folder_that_is_only_read), CASE(several_buffers), CASE(empty_buffers), CASE(a_long_file),
    CASE(much_output_beside_files), CASE(standard_input_beside_files), CASE(two_descriptors_of_a_file),
    CASE(exits_with_its_number),
};

// `calls` lists the cases; `calls CASE NUMBER disk|memory` runs one.
int main(int argc, char **argv) {
    int count = sizeof cases / sizeof *cases;
    if (argc != 4) {
        for (int i = 0; i < count; i++) puts(cases[i].name);
        return 0;
    }
    number = atoi(argv[2]);
    char own[64];
    sprintf(own, "%s-%d", argv[1], number);
    int at = strcmp(argv[3], "disk") ? SCRATCH : RW;
    if (raw_path_create_directory(at, S(own)) || opens_at(at, own, DIRECTORY, READ, 0, FOLLOW)) {
        SAY("no folder %s", own);
        return 2;
    }
    dir = fd;
    for (int i = 0; i < count; i++) {
        if (strcmp(cases[i].name, argv[1])) continue;
        cases[i].run();
        return 0;
    }
    SAY("no case %s", argv[1]);
    return 2;
}
