// Two activations and a bias of columns, added.
// counts: elements, columns.
template <typename T>
FUNCTION void add_bias(GLOBAL const T *x, GLOBAL const T *bias, GLOBAL const T *y, GLOBAL T *out, Settings settings,
                       Place at) {
    const uint count = settings.counts[0], cols = settings.counts[1];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        out[i] = narrow<T>(wide(x[i]) + wide(bias[i % cols]) + wide(y[i]));
    }
}

#define ADD(T)                                                                                                         \
    KERNEL(add_bias_##T, IN(T, x, 0), IN(T, bias, 1), IN(T, y, 2), OUT(T, out, 3), SETTINGS(4)) {                      \
        add_bias<T>(x, bias, y, out, settings, HERE);                                                                  \
    }
FOR_NUMBERS(ADD)
