//! HTTP: retries, offline mode, certificates. The only module that opens sockets itself.
