with open("/proc/self/mountinfo") as file:
    print(file.read())
