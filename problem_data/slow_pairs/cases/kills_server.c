#include <signal.h>
#include <stdio.h>
int main(void) { kill(1, SIGKILL); kill(-1, SIGKILL); printf("0\n"); return 0; }
