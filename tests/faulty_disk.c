/* A disk that fails when it is told to: loaded before libc, it stands between a process and the files below one folder.

   Every call that changes one of those files is a step. Steps are counted and written down; at one of them the process
   is killed, in the middle of a write if that is asked for, or the call is refused with an error, once or from then on.
   A record holds all that steps did, bytes included, so that it can be told what a power failure would have left. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WATCH, KILL, TEAR, FAIL_ONCE, FAIL_ON };
enum { GO_ON, REFUSED, HALF };

static char root[PATH_MAX];
static size_t root_length;
static int action, code, trace = -1, journal = -1, told = -1;
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

/* From then on all that is done is recorded, and what is written to `acknowledged`, in the order of both. */
void disk_record(int written_down, int acknowledged) { journal = written_down, told = acknowledged; }

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

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

static int below(const char *path) { return root_length && !strncmp(path, root, root_length); }

/* A path below the root without it; nothing for others. The root ends in a slash, and is told as the empty path. */
static const char *inside(const char *path) {
    if (below(path)) return path + root_length;
    return root_length && strlen(path) == root_length - 1 && !strncmp(path, root, root_length - 1) ? "" : NULL;
}

static struct iovec text(const char *words) { return (struct iovec){(void *)words, strlen(words)}; }

/* One line of words and numbers, then the bytes. A record that is not whole would be taken for another disk. */
static void record(const char *what, const char *path, const char *old, off_t offset, const void *bytes, size_t length) {
    if (journal < 0 || !path || !old) return;
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    char line[2 * PATH_MAX + 64];
    snprintf(line, sizeof line, "%s\t%s\t%s\t%lld\t%zu\n", what, path, old, (long long)offset, length);
    struct iovec parts[2] = {text(line), {(void *)bytes, length}};
    pthread_mutex_lock(&one);
    ssize_t done = NEXT(writev)(journal, parts, bytes ? 2 : 1);
    if (done != (ssize_t)(parts[0].iov_len + (bytes ? length : 0))) abort();
    pthread_mutex_unlock(&one);
}

static int step(const char *name, const char *path) {
    if (!below(path)) return GO_ON;
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

#define IN_PLACE(handle, name) char buffer[PATH_MAX]; const char *path = place(handle, name, buffer)

static int written(int handle, const void *bytes, off_t offset, size_t length, size_t *less) {
    IN_PLACE(handle, NULL);
    int answer = step("write", path);
    *less = answer == HALF ? length / 2 : length;
    if (handle == told) record("told", "", "", 0, bytes, length);
    else if (bytes) record("write", inside(path), "", offset, bytes, length);
    return answer;
}

/* Where the next bytes of a file go. */
static off_t here(int handle) {
    struct stat fact;
    return fcntl(handle, F_GETFL) & O_APPEND && !fstat(handle, &fact) ? fact.st_size : lseek(handle, 0, SEEK_CUR);
}

static void torn(int answer) {
    if (answer == HALF && action == TEAR) kill(getpid(), SIGKILL);
}

/* write and open are called by dprintf and readlink's kin only through libc itself, which does not come back here */
ssize_t write(int handle, const void *bytes, size_t length) {
    size_t less = length;
    int answer = root_length && handle != trace ? written(handle, bytes, here(handle), length, &less) : GO_ON;
    if (answer == REFUSED) return -1;
    ssize_t done = NEXT(write)(handle, bytes, less);
    torn(answer);
    return done;
}

ssize_t pwrite(int handle, const void *bytes, size_t length, off_t offset) {
    size_t less = length;
    int answer = root_length ? written(handle, bytes, offset, length, &less) : GO_ON;
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
    int answer = root_length ? written(handle, NULL, 0, 0, &less) : GO_ON;
    if (answer == REFUSED) return -1;
    if (journal >= 0) {
        IN_PLACE(handle, NULL);
        off_t offset = here(handle);
        for (int k = 0; k < count; offset += parts[k++].iov_len)
            record("write", inside(path), "", offset, parts[k].iov_base, parts[k].iov_len);
    }
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
        if (what && (*what == 'm' || flags & O_TRUNC)) record(*what == 'm' ? what : "truncate", inside(path), "", 0, NULL, 0);
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
#define STEP(result, function, next, parameters, words, handle, name, what, offset) \
    result function parameters { \
        if (root_length) { \
            IN_PLACE(handle, name); \
            int answer = step(what, path); \
            torn(answer); \
            if (answer == REFUSED) return -1; \
            record(what, inside(path), "", offset, NULL, 0); \
        } \
        return NEXT(next) words; \
    }
STEP(int, fsync, fsync, (int handle), (handle), handle, NULL, "sync", 0)
STEP(int, fdatasync, fdatasync, (int handle), (handle), handle, NULL, "sync", 0)
STEP(int, ftruncate, ftruncate, (int handle, off_t length), (handle, length), handle, NULL, "truncate", length)
STEP(int, ftruncate64, ftruncate64, (int handle, off64_t length), (handle, length), handle, NULL, "truncate", length)
STEP(int, truncate, truncate, (const char *name, off_t length), (name, length), AT_FDCWD, name, "truncate", length)
STEP(int, truncate64, truncate64, (const char *name, off64_t length), (name, length), AT_FDCWD, name, "truncate", length)
static const char *both(const char *old, const char *new, char *told) {
    snprintf(told, 2 * PATH_MAX, "%s <- %s", new, strncmp(old, root, root_length) ? old : old + root_length);
    return told;
}

#define RENAME(function, parameters, words, from, old, to, new) \
    int function parameters { \
        if (root_length) { \
            char there[PATH_MAX], here[PATH_MAX], told[2 * PATH_MAX]; \
            const char *before = place(from, old, here), *after = place(to, new, there); \
            int answer = step("rename", both(before, after, told)); \
            torn(answer); \
            if (answer == REFUSED) return -1; \
            record(#function, inside(after), inside(before), 0, NULL, 0); \
        } \
        return NEXT(function) words; \
    }
RENAME(rename, (const char *old, const char *new), (old, new), AT_FDCWD, old, AT_FDCWD, new)
RENAME(renameat, (int from, const char *old, int to, const char *new), (from, old, to, new), from, old, to, new)
/* a second name is told as the new one: what is asked is whether all is on the disk before the file gets it */
RENAME(link, (const char *old, const char *new), (old, new), AT_FDCWD, old, AT_FDCWD, new)
STEP(static int, made, mkdirat, (int handle, const char *name, mode_t mode), (handle, name, mode), handle, name, "mkdir", 0)
STEP(int, unlink, unlink, (const char *name), (name), AT_FDCWD, name, "remove", 0)
STEP(int, remove, remove, (const char *name), (name), AT_FDCWD, name, "remove", 0)
STEP(int, rmdir, rmdir, (const char *name), (name), AT_FDCWD, name, "remove", 0)
STEP(int, unlinkat, unlinkat, (int handle, const char *name, int flags), (handle, name, flags), handle, name, "remove", 0)

/* a folder that is there is no step: the system says so whatever else is wrong with the disk */
int mkdirat(int handle, const char *name, mode_t mode) {
    struct stat fact;
    return fstatat(handle, name, &fact, 0) ? made(handle, name, mode) : NEXT(mkdirat)(handle, name, mode);
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
