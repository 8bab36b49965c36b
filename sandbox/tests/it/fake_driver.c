// A driver that tells what the variables FAKE_* say: libcuda and NVML in one, as far as the probe
// asks. Compiled by `gpu_driver.rs`.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int told(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

static int give(char *to, unsigned size, const char *text) {
    if (strlen(text) >= size) return 7;
    strcpy(to, text);
    return 0;
}

int cuInit(unsigned flags) {
    if (told("FAKE_ABORT", 0)) abort();
    puts("a line of the library's own");
    fflush(stdout);
    int node = open("/dev/nvidiactl", O_RDWR);
    if (node < 0) return 100;
    close(node);
    return told("FAKE_INIT", 0);
}
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuDeviceGetCount(int *count) { *count = told("FAKE_COUNT", 1); return told("FAKE_COUNT_ERROR", 0); }
int cuDeviceGet(int *device, int index) { *device = index + 10; return 0; }
int cuDeviceGetName(char *name, int size, int device) {
    return device < 10 ? 101 : give(name, size, "Fake \xc3\xa9 GPU");
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 16 ? 132 : attribute == 75 ? 9 : 0;
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = 85520809984; return 0; }
int cuDeviceGetUuid_v2(char *bytes, int device) {
    for (int i = 0; i < 16; i++) bytes[i] = i * 17;
    return 0;
}
int cuDeviceGetPCIBusId(char *text, int size, int device) { return give(text, size, "0000:04:00.0"); }

int nvmlInit_v2(void) { return told("FAKE_NVML", 0); }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { return give(text, size, "580.159.04"); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13000; return 0; }
int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **device) {
    *device = (void *)7;
    return strcmp(address, "0000:04:00.0") ? 6 : 0;
}
int nvmlDeviceGetVbiosVersion(void *device, char *text, unsigned size) {
    return device == (void *)7 ? give(text, size, "96.00.99") : 2;
}
int nvmlDeviceGetEccMode(void *device, unsigned *now, unsigned *later) { *now = 1; *later = 0; return 0; }
int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *later) { return 3; }
int nvmlDeviceGetComputeMode(void *device, unsigned *mode) { *mode = 0; return 0; }
int nvmlDeviceGetPowerManagementLimit(void *device, unsigned *limit) { *limit = 700000; return 0; }
int nvmlDeviceGetMaxClockInfo(void *device, unsigned clock, unsigned *mhz) { *mhz = clock == 1 ? 1980 : 2619; return 0; }
