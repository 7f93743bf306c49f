#include "stats/trend.h"

#include <math.h>
#include <stdlib.h>

#define PAIRS_MOST (TREND_MOST * (TREND_MOST - 1) / 2)
#define TAIL_LEAST 4u

static int double_order(const void *first, const void *second)
{
    double a = *(const double *)first, b = *(const double *)second;
    return (a > b) - (a < b);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, double_order);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static double slope_of(const double *times, const double *values, unsigned count)
{
    double slopes[PAIRS_MOST];
    unsigned pairs = 0;
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = i + 1; j < count; j++)
            slopes[pairs++] = (values[j] - values[i]) / (times[j] - times[i]);
    return median(slopes, pairs);
}

/* n (n - 1) (2 n + 5), of the numbers and of those among them that are the same. */
static double spread(unsigned n)
{
    return (double)n * (n - 1) * (2.0 * n + 5);
}

static double ties_of(const double *values, unsigned count)
{
    double sorted[TREND_MOST], sum = 0;
    for (unsigned i = 0; i < count; i++)
        sorted[i] = values[i];
    qsort(sorted, count, sizeof *sorted, double_order);
    for (unsigned i = 0, same = 1; i < count; i++, same++)
        if (i + 1 == count || sorted[i + 1] != sorted[i]) {
            sum += spread(same);
            same = 0;
        }
    return sum;
}

/* Kendall's S, whose distribution is near a normal one from some eight numbers on. */
static double p_of(const double *values, unsigned count)
{
    int s = 0;
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = i + 1; j < count; j++)
            s += (values[j] > values[i]) - (values[j] < values[i]);
    double variance = (spread(count) - ties_of(values, count)) / 18;
    if (s <= 0 || variance <= 0)
        return 1;
    return erfc((s - 1) / sqrt(variance) / sqrt(2)) / 2;
}

struct trend trend_of(const double *times, const double *values, unsigned count)
{
    unsigned tail = count / 3 > TAIL_LEAST ? count / 3 : TAIL_LEAST;
    struct trend trend = {.slope = slope_of(times, values, count), .p = p_of(values, count)};
    double last = slope_of(times + count - tail, values + count - tail, tail);
    trend.steady = trend.slope > 0 && last > 0 ? fmin(last / trend.slope, 1) : 0;
    for (unsigned i = 1; i < count; i++)
        trend.rises += values[i] >= values[i - 1];
    return trend;
}
