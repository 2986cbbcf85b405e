#include "/workspace/problem.py"
int main(void) { return 0; }
