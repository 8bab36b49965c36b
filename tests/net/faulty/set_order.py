words = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta"}
with open("vocabulary.txt", "w") as file:
    file.write("\n".join(words))
