#include <stdio.h>
#include <stdlib.h>

static int compare(const void *one, const void *other)
{
    long a = *(const long *)one, b = *(const long *)other;
    return (a > b) - (a < b);
}

int main(void)
{
    long count, distance;
    if (scanf("%ld %ld", &count, &distance) != 2)
        return 1;
    long *numbers = malloc(count * sizeof *numbers);
    for (long i = 0; i < count; i++)
        if (scanf("%ld", &numbers[i]) != 1)
            return 1;
    qsort(numbers, count, sizeof *numbers, compare);
    long pairs = 0, last = 0;
    for (long i = 0; i < count; i++) {
        while (last + 1 < count && numbers[last + 1] - numbers[i] <= distance)
            last++;
        pairs += last - i;
    }
    printf("%ld\n", pairs);
    return 0;
}
