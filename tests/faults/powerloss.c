/* What a power cut leaves: preloaded into a process, it keeps a copy of everything that was ever synced.
 *
 * At each successful fsync or fdatasync of something below $POWER_ROOT it writes to $POWER_KEPT:
 *   files/<inode>    a file's bytes, as they were at the sync
 *   folders/<inode>  a folder's names, one a line: <inode> <d or f> <name>
 * Contents and names that were never synced are not there, and a disk rebuilt from the copies lacks them: the
 * strictest reading of POSIX. No file is opened a second time where that can be helped: closing it again would
 * drop the locks that SQLite has on it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int begin(const char *kind, ino_t inode, char *draft, char *final) {
  const char *kept = getenv("POWER_KEPT");
  snprintf(final, PATH_MAX, "%s/%s/%llu", kept, kind, (unsigned long long)inode);
  snprintf(draft, PATH_MAX, "%s.%d.%ld", final, getpid(), syscall(SYS_gettid));
  return open(draft, O_CREAT | O_TRUNC | O_WRONLY, 0600);
}

static void end(int fd, const char *draft, const char *final) {
  close(fd);
  if (rename(draft, final)) abort();
}

static void keep_file(int fd, ino_t inode) {
  char draft[PATH_MAX], final[PATH_MAX], path[64], buffer[1 << 16];
  int to = begin("files", inode, draft, final), from = fd;
  if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    from = open(path, O_RDONLY);
  }
  if (from < 0 || to < 0) abort();
  off_t at = 0;
  for (ssize_t n; (n = pread(from, buffer, sizeof buffer, at)) > 0; at += n)
    if (write(to, buffer, n) != n) abort();
  if (from != fd) close(from);
  end(to, draft, final);
}

static void keep_folder(int fd, ino_t inode) {
  char draft[PATH_MAX], final[PATH_MAX], path[64];
  struct stat it;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  DIR *folder = opendir(path);
  int to = begin("folders", inode, draft, final);
  if (!folder || to < 0) abort();
  for (struct dirent *entry; (entry = readdir(folder));)
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
        !fstatat(dirfd(folder), entry->d_name, &it, AT_SYMLINK_NOFOLLOW))
      dprintf(to, "%llu %s %s\n", (unsigned long long)it.st_ino, S_ISDIR(it.st_mode) ? "d" : "f", entry->d_name);
  closedir(folder);
  end(to, draft, final);
}

static void keep(int fd) {
  const char *root = getenv("POWER_ROOT");
  char link[64], path[PATH_MAX];
  struct stat it;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (!root || n < 0) return;
  path[n] = 0;
  if (strncmp(path, root, strlen(root)) || fstat(fd, &it)) return;
  if (S_ISDIR(it.st_mode)) keep_folder(fd, it.st_ino);
  else if (S_ISREG(it.st_mode)) keep_file(fd, it.st_ino);
}

static int synced(const char *call, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
  int result = real(fd);
  if (result == 0) keep(fd);
  return result;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
