/* A medium that takes so many bytes a second: loaded before a program, it holds up every write to the file that
   SLOW_FILE names. SLOW_RATE is in bytes a second. For benches/latency.py alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void hold_up(int fd, ssize_t written)
{
	const char *file = getenv("SLOW_FILE"), *rate = getenv("SLOW_RATE");
	struct stat named, open;
	if (written <= 0 || !file || !rate || stat(file, &named) || fstat(fd, &open))
		return;
	if (named.st_dev != open.st_dev || named.st_ino != open.st_ino)
		return;
	double seconds = written / atof(rate);
	struct timespec pause = { (time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9) };
	nanosleep(&pause, NULL);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
	ssize_t written = next(fd, bytes, len);
	hold_up(fd, written);
	return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	ssize_t (*next)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
	ssize_t written = next(fd, bytes, len, at);
	hold_up(fd, written);
	return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
	ssize_t (*next)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
	ssize_t written = next(fd, bytes, len, at);
	hold_up(fd, written);
	return written;
}
