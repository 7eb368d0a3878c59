/* A disk that fails when it is told to: loaded before libc, it stands between a process and the files below one folder.

   Every call that changes one of those files is a step. Steps are counted and written down; at one of them the process
   is killed, in the middle of a write if that is asked for, or the call is refused with an error, once or from then on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WATCH, KILL, TEAR, FAIL_ONCE, FAIL_ON };
enum { GO_ON, REFUSED, HALF };

static char root[PATH_MAX];
static size_t root_length;
static int action, code, trace = -1;
static long at;
static atomic_long steps;
static atomic_int failing;

/* Called by a life before it begins: from then on steps below `folder` count, and the one number `step` is special. */
void disk_arm(const char *folder, int what, long step, int error, int written_down) {
    strncpy(root, folder, sizeof root - 1);
    action = what, at = step, code = error, trace = written_down;
    atomic_store(&steps, 0);
    atomic_store(&failing, 0);
    root_length = strlen(root);
}

/* The name of an open file, or of `name` below an open folder. */
static const char *place(int handle, const char *name, char *buffer) {
    if (name && (*name == '/' || handle == AT_FDCWD)) return name;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, buffer, PATH_MAX - 1);
    if (length < 0) return "";
    buffer[length] = 0;
    if (name) snprintf(buffer + length, PATH_MAX - length, "/%s", name);
    return buffer;
}

static int refuses(const char *step) {
    int takes_room = !strcmp(step, "write") || !strcmp(step, "make") || !strcmp(step, "mkdir");
    int by_name = strcmp(step, "write") && strcmp(step, "sync") && strcmp(step, "truncate");
    if (code == ENOSPC) return takes_room;
    if (code == EACCES) return by_name;
    return 1;
}

static int step(const char *name, const char *path) {
    if (!root_length || strncmp(path, root, root_length)) return GO_ON;
    long number = atomic_fetch_add(&steps, 1) + 1;
    if (trace >= 0) dprintf(trace, "%s %s\n", name, path + root_length);
    if (number == at && action == KILL) kill(getpid(), SIGKILL);
    if (number == at && action == TEAR) return HALF;
    if (number == at && action == FAIL_ON && code == ENOSPC && !strcmp(name, "write")) {
        atomic_store(&failing, 1);
        return HALF;
    }
    if (number >= at && action == FAIL_ON) atomic_store(&failing, 1);
    if ((number == at && action == FAIL_ONCE) || (atomic_load(&failing) && refuses(name))) {
        errno = code;
        return REFUSED;
    }
    return GO_ON;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define IN_PLACE(handle, name) char buffer[PATH_MAX]; const char *path = place(handle, name, buffer)

static int written(int handle, size_t length, size_t *less) {
    IN_PLACE(handle, NULL);
    int answer = step("write", path);
    *less = answer == HALF ? length / 2 : length;
    return answer;
}

static void torn(int answer) {
    if (answer == HALF && action == TEAR) kill(getpid(), SIGKILL);
}

/* write and open are called by dprintf and readlink's kin only through libc itself, which does not come back here */
ssize_t write(int handle, const void *bytes, size_t length) {
    size_t less = length;
    int answer = root_length && handle != trace ? written(handle, length, &less) : GO_ON;
    if (answer == REFUSED) return -1;
    ssize_t done = NEXT(write)(handle, bytes, less);
    torn(answer);
    return done;
}

ssize_t pwrite(int handle, const void *bytes, size_t length, off_t offset) {
    size_t less = length;
    int answer = root_length ? written(handle, length, &less) : GO_ON;
    if (answer == REFUSED) return -1;
    ssize_t done = NEXT(pwrite)(handle, bytes, less, offset);
    torn(answer);
    return done;
}
ssize_t pwrite64(int handle, const void *bytes, size_t length, off_t offset) {
    return pwrite(handle, bytes, length, offset);
}

ssize_t writev(int handle, const struct iovec *parts, int count) {
    size_t less;
    int answer = root_length ? written(handle, 0, &less) : GO_ON;
    if (answer == REFUSED) return -1;
    ssize_t done = NEXT(writev)(handle, parts, answer == HALF ? (count + 1) / 2 : count);
    torn(answer);
    return done;
}

static const char *opening(int handle, const char *path, int flags) {
    struct stat fact;
    if ((flags & O_ACCMODE) == O_RDONLY && !(flags & (O_CREAT | O_TRUNC))) return NULL;
    return (flags & O_CREAT) && fstatat(handle, path, &fact, 0) ? "make" : "open";
}

static int opened(int handle, const char *name, int flags, mode_t mode) {
    static __typeof__(&openat) next;
    if (!next) next = NEXT(openat);
    if (root_length) {
        IN_PLACE(handle, name);
        const char *what = opening(handle, name, flags);
        int answer = what ? step(what, path) : GO_ON;
        torn(answer);
        if (answer == REFUSED) return -1;
    }
    return next(handle, name, flags, mode);
}

#define MODE(flags) mode_t mode = 0; if ((flags) & (O_CREAT | __O_TMPFILE)) { \
    va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *name, int flags, ...) { MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int openat(int handle, const char *name, int flags, ...) { MODE(flags) return opened(handle, name, flags, mode); }
int openat64(int handle, const char *name, int flags, ...) { MODE(flags) return opened(handle, name, flags, mode); }

/* what is left has one form: name the file, take the step, call the next */
#define STEP(result, function, next, parameters, words, handle, name, what) \
    result function parameters { \
        if (root_length) { \
            IN_PLACE(handle, name); \
            int answer = step(what, path); \
            torn(answer); \
            if (answer == REFUSED) return -1; \
        } \
        return NEXT(next) words; \
    }
STEP(int, fsync, fsync, (int handle), (handle), handle, NULL, "sync")
STEP(int, fdatasync, fdatasync, (int handle), (handle), handle, NULL, "sync")
STEP(int, ftruncate, ftruncate, (int handle, off_t length), (handle, length), handle, NULL, "truncate")
STEP(int, ftruncate64, ftruncate64, (int handle, off64_t length), (handle, length), handle, NULL, "truncate")
STEP(int, truncate, truncate, (const char *name, off_t length), (name, length), AT_FDCWD, name, "truncate")
STEP(int, truncate64, truncate64, (const char *name, off64_t length), (name, length), AT_FDCWD, name, "truncate")
static const char *both(const char *old, const char *new, char *told) {
    snprintf(told, 2 * PATH_MAX, "%s <- %s", new, strncmp(old, root, root_length) ? old : old + root_length);
    return told;
}

#define RENAME(function, parameters, words, from, old, to, new) \
    int function parameters { \
        if (root_length) { \
            char there[PATH_MAX], here[PATH_MAX], told[2 * PATH_MAX]; \
            int answer = step("rename", both(place(from, old, here), place(to, new, there), told)); \
            torn(answer); \
            if (answer == REFUSED) return -1; \
        } \
        return NEXT(function) words; \
    }
RENAME(rename, (const char *old, const char *new), (old, new), AT_FDCWD, old, AT_FDCWD, new)
RENAME(renameat, (int from, const char *old, int to, const char *new), (from, old, to, new), from, old, to, new)
/* a second name is told as the new one: what is asked is whether all is on the disk before the file gets it */
RENAME(link, (const char *old, const char *new), (old, new), AT_FDCWD, old, AT_FDCWD, new)
STEP(static int, made, mkdirat, (int handle, const char *name, mode_t mode), (handle, name, mode), handle, name, "mkdir")
STEP(int, unlink, unlink, (const char *name), (name), AT_FDCWD, name, "remove")
STEP(int, remove, remove, (const char *name), (name), AT_FDCWD, name, "remove")
STEP(int, rmdir, rmdir, (const char *name), (name), AT_FDCWD, name, "remove")
STEP(int, unlinkat, unlinkat, (int handle, const char *name, int flags), (handle, name, flags), handle, name, "remove")

/* a folder that is there is no step: the system says so whatever else is wrong with the disk */
int mkdirat(int handle, const char *name, mode_t mode) {
    struct stat fact;
    return fstatat(handle, name, &fact, 0) ? made(handle, name, mode) : NEXT(mkdirat)(handle, name, mode);
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
