"""Texts of the step Export: what is written, what is wrong with it, and getting it."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "export_empty": (
        "The package appears here once everything was run.",
        "全部运行完成后，训练包会显示在这里。",
    ),
    "export_base": ("Base model", "基础模型"),
    "export_for": ("Trainers to write for", "为哪些训练器导出"),
    "export_none": (
        "None chosen: the package still trains in kohya as it lies.",
        "未选择：训练包仍可直接用于 kohya。",
    ),
    "export_write": ("Write the export", "生成导出文件"),
    "export_size": (
        "{images} pictures · {files} files · {size}",
        "{images} 张图片 · {files} 个文件 · {size}",
    ),
    "export_steps": (
        "{repeats} repeats, about {steps} steps",
        "重复 {repeats} 次，约 {steps} 步",
    ),
    "export_resolutions": ("trained at {list}", "训练分辨率 {list}"),
    "export_buckets": ("Buckets", "分桶"),
    "export_shape": ("Pictures of each photo", "每张照片的图片"),
    "export_portrait": (
        "the portrait size that holds the person best, not always a square",
        "选用最能容纳人物的人像尺寸，而不总是方形",
    ),
    "export_buckets_hint": (
        "SDXL's own sizes between 9:16 and 16:9, which the other trainers take too. The face is never cut.",
        "SDXL 自身的尺寸（9:16 到 16:9），其他训练器也适用。绝不裁到人脸。",
    ),
    "export_extra_face": ("also the face", "另加面部"),
    "export_extra_bust": ("also head and shoulders", "另加头肩"),
    "export_extra_full": ("also the whole person", "另加全身"),
    "export_shape_hint": (
        "Further pictures are made where they show something else and the photo is large enough. Write the "
        "export to make them.",
        "仅当内容不同且照片足够大时才会生成更多图片。点击“生成导出文件”即可生成。",
    ),
    "export_fates": ("What it does to each picture", "它如何处理每张图片"),
    "export_fates_hint": (
        "Dark is cut off; the frame is the face. Its size in latent cells of 8 pixels is what the training "
        "sees of it. A click leads to the crop.",
        "变暗的部分会被裁掉；方框是人脸。以 8 像素的潜空间格计的大小就是训练所见。点击可跳转到裁剪。",
    ),
    "export_fate_face": ("face {cells} cells", "人脸 {cells} 格"),
    "export_fate_cut": ("{share}% of the face cut off", "人脸被裁掉 {share}%"),
    "export_fate_small": ("face too small to learn from", "人脸太小，难以学习"),
    "export_fate_enlarged": ("blown up to {scale}%", "放大到 {scale}%"),
    "export_command": ("Start the training", "启动训练"),
    "export_copy": ("Copy", "复制"),
    "export_copied": ("Copied.", "已复制。"),
    "export_download": ("Download", "下载"),
    "export_package": ("Training package", "训练包"),
    "export_package_info": (
        "Pictures, captions and a kohya config.",
        "图片、描述和 kohya 配置。",
    ),
    "export_report": ("Report", "报告"),
    "export_report_info": (
        "Every photo, why it was kept or left out, coverage, advice.",
        "每张照片保留或舍弃的原因、覆盖情况和建议。",
    ),
    "export_decisions": ("Decisions", "决定记录"),
    "export_decisions_info": (
        "One line a photo, for other programs.",
        "每张照片一行，供其他程序读取。",
    ),
    "export_where": ("Also in this folder: {folder}", "也保存在此文件夹：{folder}"),
    "export_blocks": ("This must be mended first", "必须先解决"),
    "export_look": ("Worth a look", "值得留意"),
    "export_fine": ("Nothing is wrong.", "没有问题。"),
    "export_see": ("{name}: see its crop", "{name}：查看裁剪"),
    "export_stale": ("not written yet", "尚未生成"),
    "problem_empty": ("There are no pictures. Keep at least one photo.", "没有图片。请至少保留一张照片。"),
    "problem_no_caption": (
        "Some captions are empty; trainers stop at that. Write them.",
        "有些描述为空，训练器会因此中止。请补写。",
    ),
    "problem_bad_name": (
        "Some names are not a number. Run the export again.",
        "有些文件名不是数字。请重新导出。",
    ),
    "problem_no_mask": (
        "Some pictures have no mask. Run again with masks.",
        "有些图片没有蒙版。请启用蒙版后重新运行。",
    ),
    "problem_base_model": (
        "{title} does not train this base model. Choose another one of the two.",
        "{title} 不支持训练此基础模型。请更换其中之一。",
    ),
    "problem_masks": ("{title} reads no masks: they are left out.", "{title} 不读取蒙版：将被略过。"),
    "problem_classes": (
        "{title} takes no class pictures: they are left out.",
        "{title} 不使用类别图片：将被略过。",
    ),
    "problem_face_cut": (
        "{title} will cut into these faces. Use bucket sizes or other crops.",
        "{title} 会切到这些人脸。请使用分桶尺寸或更换裁剪。",
    ),
    "problem_face_small": (
        "In {title} these faces are too small to learn from. Add tighter crops.",
        "在 {title} 中这些人脸太小，难以学习。请添加更紧的裁剪。",
    ),
    "problem_enlarged": (
        "{title} will blow these up. Leave them out, or train smaller.",
        "{title} 会放大这些图片。请舍弃它们，或降低训练分辨率。",
    ),
    "problem_cropped": (
        "{title} will cut off much of these. Use bucket sizes.",
        "{title} 会裁掉这些图片的很大一部分。请使用分桶尺寸。",
    ),
}
