/* Nothing of glibc's configuration decides what its tests do. */
