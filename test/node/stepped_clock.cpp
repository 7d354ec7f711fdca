// The machine's clock as ROS reads it, set off for one process (LD_PRELOAD): by the seconds, an int64, in the file
// STEPPED_CLOCK_FILE. Only ROS reads it so: the deadlines that DDS hands to the kernel are of the kernel's clock.
#include <ctime>

#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>

static const volatile int64_t * offset_s() {
  static const volatile int64_t * found = [] {
    int file = open(getenv("STEPPED_CLOCK_FILE"), O_RDONLY);
    void * place = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (place == MAP_FAILED) abort();
    return static_cast<const volatile int64_t *>(place);
  }();
  return found;
}

extern "C" int rcutils_system_time_now(int64_t * now_ns) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  *now_ns = (now.tv_sec + *offset_s()) * 1000000000 + now.tv_nsec;
  return 0;
}
