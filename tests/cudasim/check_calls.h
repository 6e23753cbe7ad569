/*
 * Included before everything in the checker's build of the program: block copies and fills, which the compiler does not
 * instrument, go to functions of check.cpp.
 */
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#define CUDASIM_NOTHROW noexcept(true)
#else
#define CUDASIM_NOTHROW
#endif
extern void *memcpy(void *__restrict, const void *__restrict, size_t) CUDASIM_NOTHROW __asm__("cudasim_memcpy");
extern void *memmove(void *, const void *, size_t) CUDASIM_NOTHROW __asm__("cudasim_memmove");
extern void *memset(void *, int, size_t) CUDASIM_NOTHROW __asm__("cudasim_memset");
#ifdef __cplusplus
}
#endif
