// Windows that slide over images, whose activations are rows of pixels: [images * height * width, channels].
// counts: elements, channels, height, width, height and width of the output, height and width of the window, stride, lines
// of zeros above, columns of zeros on the left.

// A pixel of images.
struct Pixel {
    uint image;
    // May lie outside of the image.
    int line;
    int column;
};

FUNCTION Pixel input_pixel(uint row, Settings settings) {
    const uint height = settings.counts[2], width = settings.counts[3];
    return Pixel{row / width / height, int(row / width % height), int(row % width)};
}

FUNCTION Pixel output_pixel(uint row, Settings settings) {
    const uint height = settings.counts[4], width = settings.counts[5];
    return Pixel{row / width / height, int(row / width % height), int(row % width)};
}

// The row of the input under an offset of the window over an output pixel; below 0 where there is none.
FUNCTION int row_under(Pixel output, uint offset, Settings settings) {
    const int line = output.line * int(settings.counts[8]) + int(offset / settings.counts[7]) - int(settings.counts[9]);
    const int column =
        output.column * int(settings.counts[8]) + int(offset % settings.counts[7]) - int(settings.counts[10]);
    const int height = settings.counts[2], width = settings.counts[3];
    if (line < 0 || line >= height || column < 0 || column >= width) return -1;
    return (int(output.image) * height + line) * width + column;
}

// The row of the output whose window has an input pixel under an offset; below 0 where there is none.
FUNCTION int row_over(Pixel input, uint offset, Settings settings) {
    const int stride = settings.counts[8];
    const int line = input.line + int(settings.counts[9]) - int(offset / settings.counts[7]);
    const int column = input.column + int(settings.counts[10]) - int(offset % settings.counts[7]);
    const int height = settings.counts[4], width = settings.counts[5];
    if (line < 0 || column < 0 || line % stride != 0 || column % stride != 0) return -1;
    if (line / stride >= height || column / stride >= width) return -1;
    return (int(input.image) * height + line / stride) * width + column / stride;
}

FUNCTION uint offsets_of(Settings settings) { return settings.counts[6] * settings.counts[7]; }

// What is under each offset of the window, 0 outside: [output pixels, offsets, channels].
template <typename T>
FUNCTION void window_columns(GLOBAL const T *x, GLOBAL T *out, Settings settings, Place at) {
    const uint count = settings.counts[0], channels = settings.counts[1], offsets = offsets_of(settings);
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const Pixel output = output_pixel(i / channels / offsets, settings);
        const int row = row_under(output, i / channels % offsets, settings);
        out[i] = row < 0 ? narrow<T>(0) : x[uint(row) * channels + i % channels];
    }
}

// The gradient of the input from that of its columns.
template <typename T>
FUNCTION void window_columns_grad(GLOBAL const T *dy, GLOBAL T *out, Settings settings, Place at) {
    const uint count = settings.counts[0], channels = settings.counts[1], offsets = offsets_of(settings);
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const Pixel input = input_pixel(i / channels, settings);
        float sum = 0;
        for (uint offset = 0; offset < offsets; offset += 1) {
            const int row = row_over(input, offset, settings);
            if (row >= 0) sum += wide(dy[(uint(row) * offsets + offset) * channels + i % channels]);
        }
        out[i] = narrow<T>(sum);
    }
}

// Each channel by itself, by a weight [channels, offsets].
template <typename T>
FUNCTION void depthwise(GLOBAL const T *x, GLOBAL const T *weight, GLOBAL T *out, Settings settings, Place at) {
    const uint count = settings.counts[0], channels = settings.counts[1], offsets = offsets_of(settings);
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const uint channel = i % channels;
        const Pixel output = output_pixel(i / channels, settings);
        float sum = 0;
        for (uint offset = 0; offset < offsets; offset += 1) {
            const int row = row_under(output, offset, settings);
            if (row >= 0) sum += wide(x[uint(row) * channels + channel]) * wide(weight[channel * offsets + offset]);
        }
        out[i] = narrow<T>(sum);
    }
}

template <typename T>
FUNCTION void depthwise_grad(GLOBAL const T *dy, GLOBAL const T *weight, GLOBAL T *out, Settings settings, Place at) {
    const uint count = settings.counts[0], channels = settings.counts[1], offsets = offsets_of(settings);
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const uint channel = i % channels;
        const Pixel input = input_pixel(i / channels, settings);
        float sum = 0;
        for (uint offset = 0; offset < offsets; offset += 1) {
            const int row = row_over(input, offset, settings);
            if (row >= 0) sum += wide(dy[uint(row) * channels + channel]) * wide(weight[channel * offsets + offset]);
        }
        out[i] = narrow<T>(sum);
    }
}

// The gradient of the weight from each strip of output pixels: [strips, offsets, channels].
// counts: as those of all, of the output's elements; then rows of a strip.
template <typename T>
FUNCTION void depthwise_sums(GLOBAL const T *x, GLOBAL const T *dy, GLOBAL float *out, Settings settings,
                             GROUP float *shared, Place at) {
    const uint channels = settings.counts[1], offsets = offsets_of(settings);
    const Strip strip = strip_of(settings.counts[0] / channels, channels, settings.counts[11], at);
    for (uint offset = 0; offset < offsets; offset += 1) {
        float sum = 0;
        if (strip.col < channels) {
            for (uint over = strip.first; over < strip.end; over += at.lanes / COLUMNS) {
                const int row = row_under(output_pixel(over, settings), offset, settings);
                if (row >= 0) sum += wide(dy[over * channels + strip.col]) * wide(x[uint(row) * channels + strip.col]);
            }
        }
        BARRIER();
        sum = column_sum(sum, shared, at);
        if (at.lane < COLUMNS && strip.col < channels) {
            out[(strip.number * offsets + offset) * channels + strip.col] = sum;
        }
    }
}

// The first highest value under the window, by lines: its offset.
template <typename T>
FUNCTION uint highest_under(GLOBAL const T *x, Pixel output, uint channel, Settings settings) {
    const uint channels = settings.counts[1], offsets = offsets_of(settings);
    uint chosen = offsets;
    float highest = 0;
    for (uint offset = 0; offset < offsets; offset += 1) {
        const int row = row_under(output, offset, settings);
        if (row < 0) continue;
        const float value = wide(x[uint(row) * channels + channel]);
        // What is no number always is chosen, so that it is seen.
        if (chosen == offsets || value > highest || value != value) {
            chosen = offset;
            highest = value;
        }
    }
    return chosen;
}

template <typename T> FUNCTION void max_pool(GLOBAL const T *x, GLOBAL T *out, Settings settings, Place at) {
    const uint count = settings.counts[0], channels = settings.counts[1];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const Pixel output = output_pixel(i / channels, settings);
        const int row = row_under(output, highest_under(x, output, i % channels, settings), settings);
        out[i] = row < 0 ? narrow<T>(0) : x[uint(row) * channels + i % channels];
    }
}

template <typename T>
FUNCTION void max_pool_grad(GLOBAL const T *x, GLOBAL const T *dy, GLOBAL T *out, Settings settings, Place at) {
    const uint count = settings.counts[0], channels = settings.counts[1], offsets = offsets_of(settings);
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const Pixel input = input_pixel(i / channels, settings);
        float sum = 0;
        for (uint offset = 0; offset < offsets; offset += 1) {
            const int row = row_over(input, offset, settings);
            if (row < 0) continue;
            const uint chosen = highest_under(x, output_pixel(row, settings), i % channels, settings);
            if (chosen == offset) sum += wide(dy[uint(row) * channels + i % channels]);
        }
        out[i] = narrow<T>(sum);
    }
}

#define WINDOW(T)                                                                                                      \
    KERNEL(window_columns_##T, IN(T, x, 0), OUT(T, out, 1), SETTINGS(2)) { window_columns<T>(x, out, settings, HERE); } \
    KERNEL(window_columns_grad_##T, IN(T, dy, 0), OUT(T, out, 1), SETTINGS(2)) {                                       \
        window_columns_grad<T>(dy, out, settings, HERE);                                                               \
    }                                                                                                                  \
    KERNEL(depthwise_##T, IN(T, x, 0), IN(T, weight, 1), OUT(T, out, 2), SETTINGS(3)) {                                \
        depthwise<T>(x, weight, out, settings, HERE);                                                                  \
    }                                                                                                                  \
    KERNEL(depthwise_grad_##T, IN(T, dy, 0), IN(T, weight, 1), OUT(T, out, 2), SETTINGS(3)) {                          \
        depthwise_grad<T>(dy, weight, out, settings, HERE);                                                            \
    }                                                                                                                  \
    KERNEL(depthwise_sums_##T, IN(T, x, 0), IN(T, dy, 1), OUT(float, out, 2), SETTINGS(3)) {                           \
        GROUP_ARRAY(float, shared, MOST_LANES);                                                                        \
        depthwise_sums<T>(x, dy, out, settings, shared, HERE);                                                         \
    }                                                                                                                  \
    KERNEL(max_pool_##T, IN(T, x, 0), OUT(T, out, 1), SETTINGS(2)) { max_pool<T>(x, out, settings, HERE); }            \
    KERNEL(max_pool_grad_##T, IN(T, x, 0), IN(T, dy, 1), OUT(T, out, 2), SETTINGS(3)) {                                \
        max_pool_grad<T>(x, dy, out, settings, HERE);                                                                  \
    }
FOR_NUMBERS(WINDOW)
