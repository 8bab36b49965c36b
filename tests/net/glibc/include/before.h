/* Comes before everything: what glibc's own build defines before its headers do. */
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define IS_IN(module) 0
#define attribute_hidden
#define attribute_tls_model_ie
#define weak_function
#define libc_hidden_proto(name)
/* The same on a machine of 64 bits. */
#define __timespec64 timespec
