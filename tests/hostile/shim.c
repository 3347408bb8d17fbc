/* What a disk does on a bad day, for one process: preloaded, it stands between the process and libc.

   SHIM_ROOT    the folder that is looked at; everything else passes through
   SHIM_FAULTS  a file "once|always sync|write ERRNO SUBSTRING": calls on paths that contain SUBSTRING fail
   SHIM_SHADOW  a folder that holds what would be there after a power cut: what was synced, and nothing else
   SHIM_KILL    the process is killed at so many calls that change the disk

   A sync that fails drops what it was to write, and the next one knows nothing of it: that is what Linux does. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096
#define REAL(type, name, ...) ((type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

static long calls;

static int below(int fd, char *path) {
    const char *root = getenv("SHIM_ROOT");
    char link[64];
    if (root == NULL || fd < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    size_t head = strlen(root);
    if (strncmp(path, root, head) != 0 || (path[head] != '/' && path[head] != 0)) return 0;
    return !(length > 4 && strcmp(path + length - 4, "-shm") == 0);
}

static void step(void) {
    const char *at = getenv("SHIM_KILL");
    if (at != NULL && __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) == atol(at)) kill(getpid(), SIGKILL);
}

static int fault(const char *path, const char *kind) {
    const char *control = getenv("SHIM_FAULTS");
    char often[16], what[16], part[256], fired[PATH_MAX];
    int number, saved = errno;
    if (control == NULL) return 0;
    FILE *file = fopen(control, "re");
    errno = saved;
    if (file == NULL) return 0;
    int read = fscanf(file, "%15s %15s %d %255s", often, what, &number, part);
    fclose(file);
    errno = saved;
    if (read != 4 || strcmp(what, kind) != 0 || strstr(path, part) == NULL) return 0;
    if (strcmp(often, "once") == 0) {
        snprintf(fired, sizeof fired, "%s.fired", control);
        if (REAL(int, "rename", const char *, const char *)(control, fired) != 0) {
            errno = saved;
            return 0;
        }
    }
    errno = number;
    return 1;
}

static int shadow(const char *what, ino_t number, int flags) {
    const char *folder = getenv("SHIM_SHADOW");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s/%lu", folder, what, (unsigned long)number);
    return open(path, flags | O_CLOEXEC, 0600);
}

static void put(int fd, const void *data, size_t length, off_t offset) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t)(fd, data, length, offset);
}

/* Remember which pages were written since the last sync. */
static void written(int fd, off_t from, ssize_t length) {
    struct stat status;
    int saved = errno;
    if (getenv("SHIM_SHADOW") == NULL || length <= 0 || fstat(fd, &status) != 0) return;
    int map = shadow("dirty", status.st_ino, O_RDWR | O_CREAT);
    if (map >= 0) {
        for (off_t page = from / PAGE; page <= (from + length - 1) / PAGE; page++) put(map, "\1", 1, page);
        close(map);
    }
    errno = saved;
}

static void sync_file(int fd, const struct stat *status, int fails) {
    int map = shadow("dirty", status->st_ino, O_RDWR | O_CREAT);
    int copy = fails ? -1 : shadow("ino", status->st_ino, O_RDWR | O_CREAT);
    char own[64], page[PAGE], flag;
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    int source = open(own, O_RDONLY | O_CLOEXEC);
    struct stat of_map;
    fstat(map, &of_map);
    for (off_t number = 0; number < of_map.st_size; number++) {
        if (pread(map, &flag, 1, number) != 1 || flag == 0) continue;
        put(map, "\0", 1, number);
        if (fails) continue;
        ssize_t length = pread(source, page, PAGE, number * PAGE);
        if (length > 0) put(copy, page, (size_t)length, number * PAGE);
    }
    if (!fails) REAL(int, "ftruncate64", int, off_t)(copy, status->st_size);
    if (copy >= 0) close(copy);
    close(source);
    close(map);
}

static char *whole(const char *what, ino_t number) {
    int file = shadow(what, number, O_RDONLY);
    struct stat status = {0};
    if (file >= 0) fstat(file, &status);
    char *text = calloc(1, (size_t)status.st_size + 3);
    text[0] = '\n';
    if (file >= 0) {
        ssize_t read = pread(file, text + 1, (size_t)status.st_size, 0);
        (void)read;
        close(file);
    }
    return text;
}

/* A folder's entries are durable when it was synced; those a failed sync dropped never are. */
static void sync_folder(const char *path, ino_t number, int fails) {
    char line[PATH_MAX], wanted[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
    char *durable = whole("dir", number), *lost = whole("lost", number);
    int out = shadow(fails ? "lost" : "dir.new", number, O_WRONLY | O_CREAT | (fails ? O_APPEND : O_TRUNC));
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(line, sizeof line, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
        snprintf(wanted, sizeof wanted, "\n%s", line);
        if (strstr(lost, wanted) != NULL || (fails && strstr(durable, wanted) != NULL)) continue;
        ssize_t done = REAL(ssize_t, "write", int, const void *, size_t)(out, line, strlen(line));
        (void)done;
    }
    if (folder != NULL) closedir(folder);
    close(out);
    free(durable);
    free(lost);
    if (fails) return;
    snprintf(from, sizeof from, "%s/dir.new/%lu", getenv("SHIM_SHADOW"), (unsigned long)number);
    snprintf(to, sizeof to, "%s/dir/%lu", getenv("SHIM_SHADOW"), (unsigned long)number);
    REAL(int, "rename", const char *, const char *)(from, to);
}

static int synced(int fd, const char *name) {
    char path[PATH_MAX];
    struct stat status;
    if (!below(fd, path)) return REAL(int, name, int)(fd);
    step();
    int fails = fault(path, "sync"), number = errno;
    const char *folder = getenv("SHIM_SHADOW");
    if (folder == NULL) return fails ? (errno = number, -1) : REAL(int, name, int)(fd);
    char lock[PATH_MAX];
    snprintf(lock, sizeof lock, "%s/lock", folder);
    int held = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    flock(held, LOCK_EX);
    if (fstat(fd, &status) == 0) {
        if (S_ISDIR(status.st_mode)) sync_folder(path, status.st_ino, fails);
        else sync_file(fd, &status, fails);
    }
    close(held);
    errno = number;
    return fails ? -1 : 0;
}

int fsync(int fd) { return synced(fd, "fsync"); }
int fdatasync(int fd) { return synced(fd, "fdatasync"); }

static int refused(int fd, int *watched) {
    char path[PATH_MAX];
    *watched = below(fd, path);
    if (!*watched) return 0;
    step();
    return fault(path, "write");
}

ssize_t write(int fd, const void *data, size_t length) {
    int watched;
    if (refused(fd, &watched)) return -1;
    ssize_t done = REAL(ssize_t, "write", int, const void *, size_t)(fd, data, length);
    if (watched && done > 0) written(fd, lseek(fd, 0, SEEK_CUR) - done, done);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int watched;
    if (refused(fd, &watched)) return -1;
    ssize_t done = REAL(ssize_t, "writev", int, const struct iovec *, int)(fd, parts, count);
    if (watched && done > 0) written(fd, lseek(fd, 0, SEEK_CUR) - done, done);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) {
    int watched;
    if (refused(fd, &watched)) return -1;
    ssize_t done = REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t)(fd, data, length, offset);
    if (watched) written(fd, offset, done);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

int ftruncate64(int fd, off_t length) {
    int watched;
    if (refused(fd, &watched)) return -1;
    return REAL(int, "ftruncate64", int, off_t)(fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

#define COUNTED(name, parameters, types, arguments)  \
    int name parameters {                            \
        step();                                      \
        return ((int (*) types)dlsym(RTLD_NEXT, #name)) arguments; \
    }
COUNTED(rename, (const char *from, const char *to), (const char *, const char *), (from, to))
COUNTED(unlink, (const char *path), (const char *), (path))
COUNTED(unlinkat, (int folder, const char *path, int flags), (int, const char *, int), (folder, path, flags))
COUNTED(rmdir, (const char *path), (const char *), (path))
COUNTED(mkdir, (const char *path, mode_t mode), (const char *, mode_t), (path, mode))
COUNTED(mkdirat, (int folder, const char *path, mode_t mode), (int, const char *, mode_t), (folder, path, mode))
COUNTED(renameat, (int a, const char *from, int b, const char *to), (int, const char *, int, const char *), (a, from, b, to))
