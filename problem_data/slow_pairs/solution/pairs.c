/* Pairs within a distance: sorted by their bytes, each number's last partner is found by a pointer that only moves on. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char text[1 << 22];

static long next_number(char **at)
{
    while (**at < '0')
        (*at)++;
    long value = 0;
    for (; **at >= '0'; (*at)++)
        value = 10 * value + (**at - '0');
    return value;
}

static void sort(uint32_t *numbers, uint32_t *other, long count)
{
    for (int shift = 0; shift < 32; shift += 8) {
        long starts[257] = {0};
        for (long i = 0; i < count; i++)
            starts[((numbers[i] >> shift) & 255) + 1]++;
        for (int byte = 0; byte < 256; byte++)
            starts[byte + 1] += starts[byte];
        for (long i = 0; i < count; i++)
            other[starts[(numbers[i] >> shift) & 255]++] = numbers[i];
        uint32_t *swap = numbers;
        numbers = other;
        other = swap;
    }
}

int main(void)
{
    long length = 0, got;
    while ((got = read(0, text + length, sizeof text - 1 - length)) > 0)
        length += got;
    char *at = text;
    long count = next_number(&at), distance = next_number(&at);
    uint32_t *numbers = malloc(count * sizeof *numbers), *other = malloc(count * sizeof *other);
    for (long i = 0; i < count; i++)
        numbers[i] = (uint32_t)next_number(&at);
    sort(numbers, other, count);
    long pairs = 0, last = 0;
    for (long i = 0; i < count; i++) {
        if (last < i)
            last = i;
        while (last + 1 < count && numbers[last + 1] - numbers[i] <= distance)
            last++;
        pairs += last - i;
    }
    printf("%ld\n", pairs);
    return 0;
}
