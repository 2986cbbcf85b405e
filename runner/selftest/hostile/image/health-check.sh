# inside = 'an image with a program that the engine would start inside'
# outcome = 'answered'
# evidence = '^nothing\n'
# image = '''
# HEALTHCHECK --interval=1s CMD touch /workspace/checked
# '''
sleep 1.5; ls /workspace | grep . || echo nothing
