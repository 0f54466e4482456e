/* Loaded before libc: adds seconds, read from the file that $CLOCK_SHIM names, to the system's
 * clock, as if somebody set it. The monotonic clock goes on as it does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset;

__attribute__((constructor)) static void map(void)
{
  const char *path = getenv("CLOCK_SHIM");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file >= 0) {
    void *at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    offset = at == MAP_FAILED ? NULL : at;
    close(file);
  }
}

static int64_t seconds(void) { return offset ? *offset : 0; }

static int realtime(clockid_t id) { return id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t id, struct timespec *now)
{
  int done = syscall(SYS_clock_gettime, id, now);
  if (!done && realtime(id)) now->tv_sec += seconds();
  return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
  int done = syscall(SYS_gettimeofday, now, zone);
  if (!done) now->tv_sec += seconds();
  return done;
}

time_t time(time_t *out)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

/* A time to wait until is one of the clock shown: the kernel's is another. A monotonic one is
 * less than the 30 years that the system's has been going. */
static struct timespec kernels(const struct timespec *until)
{
  struct timespec time = *until;
  if (time.tv_sec > 1000000000) time.tv_sec -= seconds();
  return time;
}

int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m,
                           const struct timespec *restrict until)
{
  static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  struct timespec time = kernels(until);
  return real(c, m, &time);
}

int sem_timedwait(sem_t *restrict s, const struct timespec *restrict until)
{
  static int (*real)(sem_t *, const struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "sem_timedwait");
  struct timespec time = kernels(until);
  return real(s, &time);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict m, const struct timespec *restrict until)
{
  static int (*real)(pthread_mutex_t *, const struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
  struct timespec time = kernels(until);
  return real(m, &time);
}
