// Layer normalization of rows, and its gradients. A row is a group's.
// counts: rows, columns. numbers: eps.

struct Spread {
    float mean;
    // 1 / deviation.
    float inverse;
};

template <typename T>
FUNCTION Spread spread_of(GLOBAL const T *row, uint cols, float eps, GROUP float *shared, Place at) {
    float sum = 0;
    for (uint col = at.lane; col < cols; col += at.lanes) sum += wide(row[col]);
    const float mean = group_sum(sum, shared, at) / cols;
    float squares = 0;
    for (uint col = at.lane; col < cols; col += at.lanes) {
        const float apart = wide(row[col]) - mean;
        squares += apart * apart;
    }
    return Spread{mean, 1 / sqrt(group_sum(squares, shared, at) / cols + eps)};
}

template <typename T>
FUNCTION void layer_norm(GLOBAL const T *x, GLOBAL const T *scale, GLOBAL const T *bias, GLOBAL T *out,
                         Settings settings, GROUP float *shared, Place at) {
    const uint cols = settings.counts[1];
    x += at.group * cols;
    out += at.group * cols;
    const Spread spread = spread_of(x, cols, settings.numbers[0], shared, at);
    for (uint col = at.lane; col < cols; col += at.lanes) {
        const float normal = (wide(x[col]) - spread.mean) * spread.inverse;
        out[col] = narrow<T>(normal * wide(scale[col]) + wide(bias[col]));
    }
}

// The gradient of the input.
template <typename T>
FUNCTION void layer_norm_grad(GLOBAL const T *x, GLOBAL const T *scale, GLOBAL const T *dy, GLOBAL T *dx,
                              Settings settings, GROUP float *shared, Place at) {
    const uint cols = settings.counts[1];
    x += at.group * cols;
    dy += at.group * cols;
    dx += at.group * cols;
    const Spread spread = spread_of(x, cols, settings.numbers[0], shared, at);
    float sum = 0, along = 0;
    for (uint col = at.lane; col < cols; col += at.lanes) {
        const float scaled = wide(dy[col]) * wide(scale[col]);
        sum += scaled;
        along += scaled * (wide(x[col]) - spread.mean) * spread.inverse;
    }
    const float mean = group_sum(sum, shared, at) / cols;
    const float slope = group_sum(along, shared, at) / cols;
    for (uint col = at.lane; col < cols; col += at.lanes) {
        const float normal = (wide(x[col]) - spread.mean) * spread.inverse;
        dx[col] = narrow<T>((wide(dy[col]) * wide(scale[col]) - mean - normal * slope) * spread.inverse);
    }
}

// Mean and 1 / deviation of each row, [rows, 2].
template <typename T>
FUNCTION void layer_norm_spread(GLOBAL const T *x, GLOBAL float *out, Settings settings, GROUP float *shared,
                                Place at) {
    const uint cols = settings.counts[1];
    const Spread spread = spread_of(x + at.group * cols, cols, settings.numbers[0], shared, at);
    if (at.lane == 0) {
        out[2 * at.group] = spread.mean;
        out[2 * at.group + 1] = spread.inverse;
    }
}

// The gradients of scale and bias of each strip of rows, [strips, 2, columns], from the spreads of the rows. A group sums
// some columns of a strip.
// counts: rows, columns, rows of a strip.
template <typename T>
FUNCTION void layer_norm_sums(GLOBAL const T *x, GLOBAL const T *dy, GLOBAL const float *spreads, GLOBAL float *out,
                              Settings settings, GROUP float *scales, GROUP float *biases, Place at) {
    const uint cols = settings.counts[1];
    const Strip strip = strip_of(settings.counts[0], cols, settings.counts[2], at);
    float scale = 0, bias = 0;
    if (strip.col < cols) {
        for (uint row = strip.first; row < strip.end; row += at.lanes / COLUMNS) {
            const float gradient = wide(dy[row * cols + strip.col]);
            scale += gradient * (wide(x[row * cols + strip.col]) - spreads[2 * row]) * spreads[2 * row + 1];
            bias += gradient;
        }
    }
    scale = column_sum(scale, scales, at);
    bias = column_sum(bias, biases, at);
    if (at.lane < COLUMNS && strip.col < cols) {
        out[2 * strip.number * cols + strip.col] = scale;
        out[(2 * strip.number + 1) * cols + strip.col] = bias;
    }
}

#define NORM(T)                                                                                                        \
    KERNEL(layer_norm_##T, IN(T, x, 0), IN(T, scale, 1), IN(T, bias, 2), OUT(T, out, 3), SETTINGS(4)) {               \
        GROUP_ARRAY(float, shared, MOST_LANES);                                                                        \
        layer_norm<T>(x, scale, bias, out, settings, shared, HERE);                                                    \
    }                                                                                                                  \
    KERNEL(layer_norm_grad_##T, IN(T, x, 0), IN(T, scale, 1), IN(T, dy, 2), OUT(T, out, 3), SETTINGS(4)) {            \
        GROUP_ARRAY(float, shared, MOST_LANES);                                                                        \
        layer_norm_grad<T>(x, scale, dy, out, settings, shared, HERE);                                                 \
    }                                                                                                                  \
    KERNEL(layer_norm_spread_##T, IN(T, x, 0), OUT(float, out, 1), SETTINGS(2)) {                                      \
        GROUP_ARRAY(float, shared, MOST_LANES);                                                                        \
        layer_norm_spread<T>(x, out, settings, shared, HERE);                                                          \
    }                                                                                                                  \
    KERNEL(layer_norm_sums_##T, IN(T, x, 0), IN(T, dy, 1), IN(float, spreads, 2), OUT(float, out, 3), SETTINGS(4)) {  \
        GROUP_ARRAY(float, scales, MOST_LANES);                                                                        \
        GROUP_ARRAY(float, biases, MOST_LANES);                                                                        \
        layer_norm_sums<T>(x, dy, spreads, out, settings, scales, biases, HERE);                                       \
    }
FOR_NUMBERS(NORM)
