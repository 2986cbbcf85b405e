"""The last text of a program whose PID 1 is a driver: everything is defined, and it begins."""

main()
