// Runs the SQL on standard input with SQLite on a database in memory; prints rows with columns separated by '|'. Exits
// with 1 at the first error.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3.h"

// SQLite needs a VFS although it only uses memory: this one opens no file, and its clock stands still.
static int no_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) { return SQLITE_CANTOPEN; }
static int no_delete(sqlite3_vfs *vfs, const char *name, int sync) { return SQLITE_IOERR; }
static int access_none(sqlite3_vfs *vfs, const char *name, int flags, int *out) { *out = 0; return SQLITE_OK; }
static int same_name(sqlite3_vfs *vfs, const char *name, int length, char *out) {
    snprintf(out, (size_t)length, "%s", name);
    return SQLITE_OK;
}
static int seed(sqlite3_vfs *vfs, int length, char *out) { memset(out, 7, (size_t)length); return length; }
static int no_sleep(sqlite3_vfs *vfs, int microseconds) { return microseconds; }
static int some_day(sqlite3_vfs *vfs, double *day) { *day = 2460000.5; return SQLITE_OK; }
static int no_error(sqlite3_vfs *vfs, int length, char *out) { return 0; }

static sqlite3_vfs nothing = {
    .iVersion = 1, .szOsFile = sizeof(sqlite3_file), .mxPathname = 64, .zName = "nothing", .xOpen = no_file,
    .xDelete = no_delete, .xAccess = access_none, .xFullPathname = same_name, .xRandomness = seed, .xSleep = no_sleep,
    .xCurrentTime = some_day, .xGetLastError = no_error,
};
int sqlite3_os_init(void) { return sqlite3_vfs_register(&nothing, 1); }
int sqlite3_os_end(void) { return SQLITE_OK; }

static int fail(sqlite3 *db) {
    fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(db));
    return 1;
}

int main(void) {
    size_t length = 0, room = 1 << 16;
    char *sql = malloc(room);
    for (size_t n; (n = fread(sql + length, 1, room - length - 1, stdin)) > 0;) {
        length += n;
        if (length + 1 == room) sql = realloc(sql, room *= 2);
    }
    sql[length] = 0;

    sqlite3 *db;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) return fail(db);
    for (const char *rest = sql; *rest;) {
        sqlite3_stmt *statement;
        if (sqlite3_prepare_v2(db, rest, -1, &statement, &rest) != SQLITE_OK) return fail(db);
        if (!statement) continue;
        int code;
        while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
            for (int i = 0; i < sqlite3_column_count(statement); i++) {
                const char *text = (const char *)sqlite3_column_text(statement, i);
                if (i) putchar('|');
                if (text) fputs(text, stdout);
            }
            putchar('\n');
        }
        if (code != SQLITE_DONE) return fail(db);
        sqlite3_finalize(statement);
    }
    return 0;
}
