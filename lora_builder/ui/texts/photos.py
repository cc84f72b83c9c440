"""Texts of the step Photos."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "private_local": (
        "Everything runs on this machine. No photo leaves it, and your own files are only read.",
        "一切都在本机运行，照片不会离开本机，您的原文件只会被读取。",
    ),
    "private_host": (
        "Your photos are copied to the computer that runs this app and are sent nowhere else.",
        "您的照片会复制到运行本应用的计算机上，不会发往别处。",
    ),
    "limits": (
        "Up to {mb} MB at a time.",
        "每次合计不超过 {mb} MB。",
    ),
    "folder": ("Or a folder or ZIP on this machine or in a store", "或本机上、云存储中的文件夹或 ZIP"),
    "folder_info": (
        "Its full path or address: s3://, gs://, hf://datasets/. It is read where it lies, not copied.",
        "填写完整路径或地址：s3://、gs://、hf://datasets/。直接读取，不会复制。",
    ),
    "folder_example": ("/home/ann/photos  s3://bucket/ann", "/home/ann/photos  s3://bucket/ann"),
    "folder_open": ("Open it", "打开"),
    "photos_drop": (
        "Drop photos, folders or ZIP files of one person here",
        "将同一个人的照片、文件夹或 ZIP 拖到这里",
    ),
    "photos_more": ("Add more photos", "添加更多照片"),
    "photos_files": ("Choose photos or ZIPs", "选择照片或 ZIP"),
    "photos_folder": ("Choose a folder", "选择文件夹"),
    "photos_sample": ("Try it with a sample", "用示例试一试"),
    "photos_finished": (
        "These are finished crops: keep all, cut nothing, only caption and export",
        "这些是裁好的图片：全部保留，不再裁剪，只写描述并导出",
    ),
    "photos_each": (
        "You chose {n} folders or ZIPs. Is each one a person of its own?",
        "您选择了 {n} 个文件夹或 ZIP。每个都是不同的人吗？",
    ),
    "photos_each_yes": ("Yes, a project each", "是，各建一个项目"),
    "photos_each_no": ("No, all one person", "否，都是同一个人"),
    "photos_nothing": ("There are no photos among these files.", "这些文件中没有照片。"),
    "photos_too_much": (
        "These are {size}; up to {mb} MB at a time are taken.",
        "这些文件共 {size}，每次最多 {mb} MB。",
    ),
    "photos_sending": ("{done} of {n} files · {sent} of {size}", "{done} / {n} 个文件 · {sent} / {size}"),
    "photos_stop": ("Stop", "停止"),
    "photos_stopped": ("Stopped: nothing was added.", "已停止：没有添加任何文件。"),
    "photos_reading": ("All files are there.", "文件已全部上传。"),
    "photos_failed": (
        "The upload broke off. Check the connection and choose the files again.",
        "上传中断。请检查网络后重新选择文件。",
    ),
    "photos_count": ("Photos: {n}, looked at: {done}", "照片：{n} 张，已分析 {done} 张"),
    "photos_problems": ("Could not be read: {n}", "无法读取：{n} 个"),
    "photos_select": (
        "Click photos to select them, Shift for a row of them; Delete removes them.",
        "点击照片可选中，按住 Shift 可连选；按 Delete 键移出项目。",
    ),
    "photos_selected": ("{n} selected", "已选 {n} 张"),
    "photos_remove": ("Remove from the project", "移出项目"),
    "photos_remove_faulty": ("Remove these from the project", "将这些文件移出项目"),
    "photos_clear": ("Clear selection", "取消选择"),
    "photos_removed": (
        "Removed from the project: {n}. The files themselves are untouched.",
        "已移出项目：{n} 个。文件本身未被改动。",
    ),
    "photos_restore": ("Put back", "放回"),
    "photos_restore_all": ("Put all back", "全部放回"),
    "photos_reads": ("This project reads a folder of this machine:", "此项目直接读取本机文件夹："),
    "photos_reads_store": ("This project reads a store:", "此项目直接读取云存储："),
    "photos_again": ("Read it again", "重新读取"),
    "sample_name": ("Sample: an astronaut", "示例：宇航员"),
    "trigger": ("Trigger word", "触发词"),
    "trigger_info": ("A rare word that will call this person.", "用来唤出此人的少见词。"),
    "class_word": ("Who it is", "人物类别"),
    "class_word_info": ("woman, man, person …", "woman、man、person……"),
    "resolution": ("Size of training pictures", "训练图片边长"),
    "resolution_info": ("Photos are never enlarged to it.", "不会为此放大照片。"),
    "no_photos": ("No photos were chosen.", "尚未选择照片。"),
    "no_photos_remedy": ("Add photos or a ZIP first.", "请先添加照片或 ZIP。"),
    "no_folder": ("There is no folder or ZIP at that path.", "该路径下没有文件夹或 ZIP。"),
    "no_folder_remedy": (
        "Check the path; it must be on this machine, or begin with s3://, gs:// or hf://.",
        "请检查路径：它必须在本机上，或以 s3://、gs://、hf:// 开头。",
    ),
    "reads_folder": ("This project reads a folder of yours.", "此项目直接读取您的文件夹。"),
    "reads_folder_remedy": (
        "Put the photos into that folder and run again, or make a new project.",
        "请把照片放入该文件夹后重新运行，或新建项目。",
    ),
    "too_much": ("These files are larger than {mb} MB together.", "这些文件合计超过 {mb} MB。"),
    "too_much_remedy": ("Choose fewer at a time.", "请分批选择。"),
    "upload_gone": ("An uploaded file is no longer there.", "上传的文件已不存在。"),
    "upload_gone_remedy": ("Add the photos again.", "请重新添加照片。"),
}
