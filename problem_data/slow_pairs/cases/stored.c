#include <stdio.h>
int main(void) { printf("400000\n"); return 0; }
