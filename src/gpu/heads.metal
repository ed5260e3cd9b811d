// Rows of several examples divided by head, and rows again.
// counts: elements of the divided rows, rows of the longest example, heads, features of a head.

// An element of the divided rows, [examples, heads, longest, features of a head].
struct Spot {
    // Whether its example has the row.
    bool is_there;
    uint row;
    // Of the undivided rows.
    uint col;
};

FUNCTION Spot spot_of(GLOBAL const uint *starts, uint i, Settings settings) {
    const uint longest = settings.counts[1], heads = settings.counts[2], each = settings.counts[3];
    const uint example = i / each / longest / heads, row = starts[example] + i / each % longest;
    return Spot{row < starts[example + 1], row, i / each / longest % heads * each + i % each};
}

// Divides rows to which a bias is added; those that an example lacks are 0.
// numbers: whether there is a bias.
template <typename T>
FUNCTION void split_heads(GLOBAL const T *x, GLOBAL const T *bias, GLOBAL const uint *starts, GLOBAL T *out,
                          Settings settings, Place at) {
    const uint count = settings.counts[0], cols = settings.counts[2] * settings.counts[3];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const Spot spot = spot_of(starts, i, settings);
        float value = 0;
        if (spot.is_there) {
            value = wide(x[spot.row * cols + spot.col]);
            if (settings.numbers[0] != 0) value += wide(bias[spot.col]);
        }
        out[i] = narrow<T>(value);
    }
}

template <typename T>
FUNCTION void join_heads(GLOBAL const T *x, GLOBAL const uint *starts, GLOBAL T *out, Settings settings, Place at) {
    const uint count = settings.counts[0], cols = settings.counts[2] * settings.counts[3];
    for (uint turn = 0, i = first_element(at); turn < EACH && i < count; turn += 1, i += at.lanes) {
        const Spot spot = spot_of(starts, i, settings);
        if (spot.is_there) out[spot.row * cols + spot.col] = x[i];
    }
}

#define HEADS(T)                                                                                                       \
    KERNEL(split_heads_##T, IN(T, x, 0), IN(T, bias, 1), IN(uint, starts, 2), OUT(T, out, 3), SETTINGS(4)) {           \
        split_heads<T>(x, bias, starts, out, settings, HERE);                                                          \
    }                                                                                                                  \
    KERNEL(join_heads_##T, IN(T, x, 0), IN(uint, starts, 1), OUT(T, out, 2), SETTINGS(3)) {                            \
        join_heads<T>(x, starts, out, settings, HERE);                                                                 \
    }
FOR_NUMBERS(HEADS)
