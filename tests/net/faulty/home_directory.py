import getpass
import pathlib

print(pathlib.Path.home(), getpass.getuser())
