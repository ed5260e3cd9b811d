// Softmax of rows of attention, and the way back. A row is a group's.

// Of the scores times a factor, over as many columns as the row's example has rows: it begins where `starts` says, and ends
// where the next one begins.
// counts: rows, columns, rows of an example. numbers: factor.
template <typename T>
FUNCTION void softmax(GLOBAL const T *scores, GLOBAL const uint *starts, GLOBAL T *out, Settings settings,
                      GROUP float *shared, Place at) {
    const uint cols = settings.counts[1], example = at.group / settings.counts[2];
    const uint length = starts[example + 1] - starts[example];
    const float factor = settings.numbers[0];
    scores += at.group * cols;
    out += at.group * cols;
    float highest = -3.4e38f;
    for (uint col = at.lane; col < length; col += at.lanes) highest = max(highest, factor * wide(scores[col]));
    highest = group_max(highest, shared, at);
    float sum = 0;
    for (uint col = at.lane; col < length; col += at.lanes) sum += exp(factor * wide(scores[col]) - highest);
    sum = group_sum(sum, shared, at);
    for (uint col = at.lane; col < cols; col += at.lanes) {
        out[col] = narrow<T>(col < length ? exp(factor * wide(scores[col]) - highest) / sum : 0);
    }
}

// The gradient of the scores from that of the weights.
// counts: rows, columns. numbers: factor.
template <typename T>
FUNCTION void softmax_grad(GLOBAL const T *weights, GLOBAL const T *dweights, GLOBAL T *out, Settings settings,
                           GROUP float *shared, Place at) {
    const uint cols = settings.counts[1];
    weights += at.group * cols;
    dweights += at.group * cols;
    out += at.group * cols;
    float sum = 0;
    for (uint col = at.lane; col < cols; col += at.lanes) sum += wide(weights[col]) * wide(dweights[col]);
    const float along = group_sum(sum, shared, at);
    for (uint col = at.lane; col < cols; col += at.lanes) {
        out[col] = narrow<T>((wide(dweights[col]) - along) * wide(weights[col]) * settings.numbers[0]);
    }
}

#define SOFTMAX(T)                                                                                                     \
    KERNEL(softmax_##T, IN(T, scores, 0), IN(uint, starts, 1), OUT(T, out, 2), SETTINGS(3)) {                         \
        GROUP_ARRAY(float, shared, MOST_LANES);                                                                        \
        softmax<T>(scores, starts, out, settings, shared, HERE);                                                      \
    }                                                                                                                  \
    KERNEL(softmax_grad_##T, IN(T, weights, 0), IN(T, dweights, 1), OUT(T, out, 2), SETTINGS(3)) {                     \
        GROUP_ARRAY(float, shared, MOST_LANES);                                                                        \
        softmax_grad<T>(weights, dweights, out, settings, shared, HERE);                                               \
    }
FOR_NUMBERS(SOFTMAX)
