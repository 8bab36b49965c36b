import functools
import locale

locale.setlocale(locale.LC_ALL, "")
words = ["zebra", "Öl", "apple", "ızgara", "Apple", "ice"]
print(sorted(words, key=functools.cmp_to_key(locale.strcoll)))
