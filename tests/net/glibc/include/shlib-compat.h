/* Symbols of old versions cannot be linked against, so their tests have nothing to do. */
#define TEST_COMPAT(library, introduced, obsoleted) 0
#define SHLIB_COMPAT(library, introduced, obsoleted) 0
