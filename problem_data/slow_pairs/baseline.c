/* How many pairs of numbers lie within a distance of each other: every pair is looked at. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    long count, distance;
    if (scanf("%ld %ld", &count, &distance) != 2)
        return 1;
    long *numbers = malloc(count * sizeof *numbers);
    for (long i = 0; i < count; i++)
        if (scanf("%ld", &numbers[i]) != 1)
            return 1;
    long pairs = 0;
    for (long i = 0; i < count; i++)
        for (long j = 0; j < count; j++)
            if (i != j && labs(numbers[i] - numbers[j]) <= distance)
                pairs++;
    printf("%ld\n", pairs / 2);
    return 0;
}
