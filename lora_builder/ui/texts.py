"""Every text of the app, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}
"""Codes of the languages, with their own names."""

TEXTS: Mapping[str, tuple[str, str]] = {
    # Header
    "title": ("LoRA Dataset Builder", "LoRA 数据集生成器"),
    "tagline": (
        "Photos of one person in, a clean training set out.",
        "放入一个人的照片，得到干净的训练集。",
    ),
    "language": ("Language", "语言"),
    # Step 1
    "step_photos": ("Photos", "照片"),
    "private_local": (
        "Everything runs on this machine. No photo leaves it, and your own files are only read.",
        "一切都在本机运行，照片不会离开本机，您的原文件只会被读取。",
    ),
    "private_host": (
        "Your photos are copied to the computer that runs this app and are sent nowhere else.",
        "您的照片会复制到运行本应用的计算机上，不会发往别处。",
    ),
    "limits": (
        "Up to {mb} MB together and 1,000 files at a time; for more files, upload a ZIP.",
        "每次合计不超过 {mb} MB、1000 个文件；文件更多时请上传 ZIP。",
    ),
    "upload": ("Photos or ZIP files", "照片或 ZIP 文件"),
    "folder": ("Or a folder or ZIP on this machine", "或本机上的文件夹或 ZIP"),
    "folder_info": (
        "Its full path. It is read where it lies, not copied.",
        "填写完整路径。直接读取，不会复制。",
    ),
    "folder_example": ("/home/ann/photos", "/home/ann/photos"),
    "name": ("Name of the dataset", "数据集名称"),
    "name_example": ("Ann", "小安"),
    "name_info": ("For you; it also names the downloads.", "供您辨认，也用于下载的文件名。"),
    "trigger": ("Trigger word", "触发词"),
    "trigger_info": ("A rare word that will call this person.", "用来唤出此人的少见词。"),
    "class_word": ("Who it is", "人物类别"),
    "class_info": ("woman, man, person …", "woman、man、person……"),
    "settings": ("Settings", "设置"),
    "keep_per_cluster": ("Kept of one shot taken several times", "同一镜头保留张数"),
    "resolution": ("Size of training pictures", "训练图片边长"),
    "small_photos": ("Photos too small for that", "尺寸不足的照片"),
    "small_drop": ("Leave out", "舍弃"),
    "small_keep": ("Keep, smaller", "按较小尺寸保留"),
    "image_format": ("File format", "文件格式"),
    "caption_style": ("Captions", "描述文字"),
    "style_prose": ("A sentence", "句子"),
    "style_tags": ("Tags", "标签"),
    "caption_language": ("Language of captions", "描述语言"),
    # Step 2
    "step_build": ("Build", "生成"),
    "build": ("Build the dataset", "生成数据集"),
    "cancel": ("Stop", "停止"),
    "again": (
        "With no new photos chosen, the button builds “{name}” again with the settings above. "
        "Photos already measured are not measured twice.",
        "如果没有选择新照片，将按上面的设置重新生成“{name}”；已分析过的照片不会重复分析。",
    ),
    "fresh": ("Choose photos above, then press the button.", "请先在上方选择照片，再点击按钮。"),
    "earlier": ("Your datasets", "您的数据集"),
    "stage_ingest": ("Reading the files", "读取文件"),
    "stage_measure": ("Looking at each photo", "分析照片"),
    "stage_decide": ("Choosing", "挑选"),
    "stage_focus": ("Framing", "构图"),
    "stage_crop": ("Cutting", "裁剪"),
    "stage_caption": ("Describing", "撰写描述"),
    "stage_pack": ("Packing", "打包"),
    "queued": ("Waiting for {ahead} other run(s) to end.", "前面还有 {ahead} 个任务，请稍候。"),
    "starting": ("Starting …", "正在启动……"),
    "stopping": ("Stopping …", "正在停止……"),
    "rate": ("{rate} photos a second", "每秒 {rate} 张"),
    "left_s": ("about {n} s left", "约剩 {n} 秒"),
    "left_min": ("about {n} min left", "约剩 {n} 分钟"),
    "progress": ("Progress", "进度"),
    "done": ("Done.", "完成。"),
    "cancelled": (
        "Stopped. What was done is kept: press the button to go on.",
        "已停止。已完成的部分会保留，点击按钮即可继续。",
    ),
    "bug": (
        "Something went wrong on our side. Your photos are safe; what was done is kept.",
        "程序出了问题。您的照片安然无恙，已完成的部分会保留。",
    ),
    "bug_remedy": (
        "Try again; if it happens again, the app's log says more.",
        "请重试；如再次出现，请查看应用日志。",
    ),
    "interrupted": (
        "The run of “{name}” was interrupted. Press the button to go on where it stopped.",
        "“{name}”的运行被中断。点击按钮即可从中断处继续。",
    ),
    # Step 3
    "step_results": ("Results", "结果"),
    "empty": (
        "Each photo will appear here, with why it was kept or left out.",
        "每张照片都会显示在这里，并说明保留或舍弃的原因。",
    ),
    "running": ("The photos appear here as soon as the run is done.", "运行结束后，照片会显示在这里。"),
    "kept_of": ("{kept} of {total} photos kept", "{total} 张照片中保留了 {kept} 张"),
    "none_kept": (
        "No photo was kept. The reasons below say why; a smaller size in the settings often helps.",
        "没有保留任何照片，原因见下方；在设置中选择较小的尺寸往往有帮助。",
    ),
    "many_small": (
        "{count} photos are too small for the chosen size: a smaller size wins them.",
        "有 {count} 张照片达不到所选尺寸：选择较小的边长，或按较小尺寸保留，即可留住它们。",
    ),
    "saved_in": ("Saved in {folder}", "保存位置：{folder}"),
    "download_zip": ("Download the training package", "下载训练包"),
    "download_report": ("Download the report", "下载报告"),
    "show": ("Show", "显示"),
    "kept": ("Kept", "保留"),
    "dropped": ("Left out", "舍弃"),
    "group_empty": ("No photos in this group.", "此组没有照片。"),
    "no_picture": ("no picture", "无图片"),
    "repeats": ("Kept instead", "已保留"),
    "crop_of": ("The lit part becomes the training picture", "高亮部分将成为训练图片"),
    "previous": ("Previous", "上一页"),
    "next": ("Next", "下一页"),
    "page": ("{first}–{last} of {total}", "第 {first}–{last} 张，共 {total} 张"),
    "caption": ("Caption", "描述"),
    # What can go wrong before a run
    "unnamed": ("Dataset of {day}", "{day} 的数据集"),
    "no_photos": ("No photos were chosen.", "尚未选择照片。"),
    "no_photos_remedy": ("Add photos or a ZIP above first.", "请先在上方添加照片或 ZIP。"),
    "no_folder": ("There is no folder or ZIP at that path.", "该路径下没有文件夹或 ZIP。"),
    "no_folder_remedy": ("Check the path; it must be on this machine.", "请检查路径，它必须在本机上。"),
    "too_much": ("These files are larger than {mb} MB together.", "这些文件合计超过 {mb} MB。"),
    "too_much_remedy": ("Choose fewer at a time.", "请分批选择。"),
    "upload_gone": ("An uploaded file is no longer there.", "上传的文件已不存在。"),
    "upload_gone_remedy": ("Add the photos again.", "请重新添加照片。"),
    "not_yours": ("This dataset is not here any more.", "此数据集已不存在。"),
    "not_yours_remedy": ("Reload the page.", "请刷新页面。"),
    "no_package": ("There is no package yet.", "尚无训练包。"),
    "no_package_remedy": ("Build the dataset first.", "请先生成数据集。"),
}


def tr(key: str, language: str, **figures: object) -> str:
    """The text of that key; unknown languages read English."""
    text = TEXTS[key][1 if language == "zh" else 0]
    return text.format(**figures) if figures else text


def preferred(accept_language: str | None) -> str:
    """The language of a browser that sends this `Accept-Language`."""
    first = (accept_language or "").split(",")[0].strip().lower()
    return "zh" if first.startswith("zh") else "en"
