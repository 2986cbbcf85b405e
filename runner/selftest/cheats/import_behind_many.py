# id = "import-behind-many"
# class = "text"
# task = "slow_nbody"
# base = "baseline"
# tries = "hides an import behind three hundred others that are allowed, and patches the clock through it"
# caught_by = ["too_slow"]

if False:
    import numpy.part_0, numpy.part_1, numpy.part_2, numpy.part_3, numpy.part_4, numpy.part_5, numpy.part_6
    import numpy.part_7, numpy.part_8, numpy.part_9, numpy.part_10, numpy.part_11, numpy.part_12, numpy.part_13
    import numpy.part_14, numpy.part_15, numpy.part_16, numpy.part_17, numpy.part_18, numpy.part_19, numpy.part_20
    import numpy.part_21, numpy.part_22, numpy.part_23, numpy.part_24, numpy.part_25, numpy.part_26, numpy.part_27
    import numpy.part_28, numpy.part_29, numpy.part_30, numpy.part_31, numpy.part_32, numpy.part_33, numpy.part_34
    import numpy.part_35, numpy.part_36, numpy.part_37, numpy.part_38, numpy.part_39, numpy.part_40, numpy.part_41
    import numpy.part_42, numpy.part_43, numpy.part_44, numpy.part_45, numpy.part_46, numpy.part_47, numpy.part_48
    import numpy.part_49, numpy.part_50, numpy.part_51, numpy.part_52, numpy.part_53, numpy.part_54, numpy.part_55
    import numpy.part_56, numpy.part_57, numpy.part_58, numpy.part_59, numpy.part_60, numpy.part_61, numpy.part_62
    import numpy.part_63, numpy.part_64, numpy.part_65, numpy.part_66, numpy.part_67, numpy.part_68, numpy.part_69
    import numpy.part_70, numpy.part_71, numpy.part_72, numpy.part_73, numpy.part_74, numpy.part_75, numpy.part_76
    import numpy.part_77, numpy.part_78, numpy.part_79, numpy.part_80, numpy.part_81, numpy.part_82, numpy.part_83
    import numpy.part_84, numpy.part_85, numpy.part_86, numpy.part_87, numpy.part_88, numpy.part_89, numpy.part_90
    import numpy.part_91, numpy.part_92, numpy.part_93, numpy.part_94, numpy.part_95, numpy.part_96, numpy.part_97
    import numpy.part_98, numpy.part_99, numpy.part_100, numpy.part_101, numpy.part_102, numpy.part_103, numpy.part_104
    import numpy.part_105, numpy.part_106, numpy.part_107, numpy.part_108, numpy.part_109, numpy.part_110, numpy.part_111
    import numpy.part_112, numpy.part_113, numpy.part_114, numpy.part_115, numpy.part_116, numpy.part_117, numpy.part_118
    import numpy.part_119, numpy.part_120, numpy.part_121, numpy.part_122, numpy.part_123, numpy.part_124, numpy.part_125
    import numpy.part_126, numpy.part_127, numpy.part_128, numpy.part_129, numpy.part_130, numpy.part_131, numpy.part_132
    import numpy.part_133, numpy.part_134, numpy.part_135, numpy.part_136, numpy.part_137, numpy.part_138, numpy.part_139
    import numpy.part_140, numpy.part_141, numpy.part_142, numpy.part_143, numpy.part_144, numpy.part_145, numpy.part_146
    import numpy.part_147, numpy.part_148, numpy.part_149, numpy.part_150, numpy.part_151, numpy.part_152, numpy.part_153
    import numpy.part_154, numpy.part_155, numpy.part_156, numpy.part_157, numpy.part_158, numpy.part_159, numpy.part_160
    import numpy.part_161, numpy.part_162, numpy.part_163, numpy.part_164, numpy.part_165, numpy.part_166, numpy.part_167
    import numpy.part_168, numpy.part_169, numpy.part_170, numpy.part_171, numpy.part_172, numpy.part_173, numpy.part_174
    import numpy.part_175, numpy.part_176, numpy.part_177, numpy.part_178, numpy.part_179, numpy.part_180, numpy.part_181
    import numpy.part_182, numpy.part_183, numpy.part_184, numpy.part_185, numpy.part_186, numpy.part_187, numpy.part_188
    import numpy.part_189, numpy.part_190, numpy.part_191, numpy.part_192, numpy.part_193, numpy.part_194, numpy.part_195
    import numpy.part_196, numpy.part_197, numpy.part_198, numpy.part_199, numpy.part_200, numpy.part_201, numpy.part_202
    import numpy.part_203, numpy.part_204, numpy.part_205, numpy.part_206, numpy.part_207, numpy.part_208, numpy.part_209
    import numpy.part_210, numpy.part_211, numpy.part_212, numpy.part_213, numpy.part_214, numpy.part_215, numpy.part_216
    import numpy.part_217, numpy.part_218, numpy.part_219, numpy.part_220, numpy.part_221, numpy.part_222, numpy.part_223
    import numpy.part_224, numpy.part_225, numpy.part_226, numpy.part_227, numpy.part_228, numpy.part_229, numpy.part_230
    import numpy.part_231, numpy.part_232, numpy.part_233, numpy.part_234, numpy.part_235, numpy.part_236, numpy.part_237
    import numpy.part_238, numpy.part_239, numpy.part_240, numpy.part_241, numpy.part_242, numpy.part_243, numpy.part_244
    import numpy.part_245, numpy.part_246, numpy.part_247, numpy.part_248, numpy.part_249, numpy.part_250, numpy.part_251
    import numpy.part_252, numpy.part_253, numpy.part_254, numpy.part_255, numpy.part_256, numpy.part_257, numpy.part_258
    import numpy.part_259, numpy.part_260, numpy.part_261, numpy.part_262, numpy.part_263, numpy.part_264, numpy.part_265
    import numpy.part_266, numpy.part_267, numpy.part_268, numpy.part_269, numpy.part_270, numpy.part_271, numpy.part_272
    import numpy.part_273, numpy.part_274, numpy.part_275, numpy.part_276, numpy.part_277, numpy.part_278, numpy.part_279
    import numpy.part_280, numpy.part_281, numpy.part_282, numpy.part_283, numpy.part_284, numpy.part_285, numpy.part_286
    import numpy.part_287, numpy.part_288, numpy.part_289, numpy.part_290, numpy.part_291, numpy.part_292, numpy.part_293
    import numpy.part_294, numpy.part_295, numpy.part_296, numpy.part_297, numpy.part_298, numpy.part_299, numpy.part_300
import time as zz

zz.monotonic = zz.perf_counter = lambda: 0.0
