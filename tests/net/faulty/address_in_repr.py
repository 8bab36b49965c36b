class Layer:
    pass


print(Layer(), hash(Layer()))
