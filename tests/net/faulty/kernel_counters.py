with open("/proc/vmstat") as file:
    print(file.read())
