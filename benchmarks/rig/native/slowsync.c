/* A slow disk: preloaded into a process, fsync and fdatasync first sleep for the microseconds that the file
 * $SLOW_SYNC says, which may change at any time; no file is no delay. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int after_a_while(const char *call, int fd) {
  char text[32] = "";
  const char *path = getenv("SLOW_SYNC");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file >= 0) {
    if (read(file, text, sizeof text - 1) > 0) usleep((useconds_t)atol(text));
    close(file);
  }
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
  return real(fd);
}

int fsync(int fd) { return after_a_while("fsync", fd); }
int fdatasync(int fd) { return after_a_while("fdatasync", fd); }
