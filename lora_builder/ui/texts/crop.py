"""Texts of the step Crop."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "crop_title": ("Crop editor", "裁剪编辑器"),
    "crop_empty": (
        "The training pictures appear here once the photos are chosen and cropped.",
        "挑选并裁剪照片后，训练图片会显示在这里。",
    ),
    "crop_previous": ("Previous photo", "上一张"),
    "crop_next": ("Next photo", "下一张"),
    "crop_place": ("{n} of {total}", "第 {n} 张，共 {total} 张"),
    "crop_show": ("Show", "显示"),
    "crop_all": ("All ({n})", "全部（{n}）"),
    "crop_to_check": ("To check ({n})", "待检查（{n}）"),
    "crop_mine": ("Framed by you ({n})", "手动裁剪（{n}）"),
    "crop_photos": ("Photos", "照片"),
    "crop_help": (
        "Arrow keys move the box, with Shift in larger steps, with Alt by one pixel. Plus and minus "
        "resize it. R resets it, N and P go to the next and previous photo.",
        "方向键移动裁剪框，按住 Shift 步幅更大，按住 Alt 每次一个像素；加减号缩放；R 恢复自动；"
        "N 和 P 切换到下一张和上一张。",
    ),
    "crop_box": ("Crop box", "裁剪框"),
    "crop_box_at": (
        "{w} by {h} pixels, {x} from the left, {y} from the top",
        "{w}×{h} 像素，距左 {x}，距上 {y}",
    ),
    "crop_view": ("As it will be trained on", "训练时的样子"),
    "crop_from": ("from {w} × {h} pixels of the original", "取自原图 {w} × {h} 像素"),
    "crop_size": ("Training size", "训练尺寸"),
    "crop_zoom": ("Size of the box", "裁剪框大小"),
    "crop_pictures": ("Training pictures of this photo", "此照片的训练图片"),
    "crop_main": ("Main", "主图"),
    "crop_add": ("Add: {name}", "添加：{name}"),
    "crop_remove": ("Remove: {name}", "移除：{name}"),
    "crop_framings": ("Frame on", "取景"),
    "crop_reset": ("Automatic", "自动"),
    "crop_face": ("Face", "面部"),
    "crop_bust": ("Bust", "半身"),
    "crop_full": ("Whole person", "全身"),
    "crop_grid": ("Thirds", "三分线"),
    "crop_by_us": ("Framed automatically", "自动裁剪"),
    "crop_by_you": ("Framed by you", "手动裁剪"),
    "crop_good": ("Nothing to object to.", "没有问题。"),
    "focus_doubt": (
        "A vision model would not use it: {why}. It stays unless you leave it out in Choose.",
        "视觉模型认为不可用：{why}。除非您在“选择”中去掉它，否则会保留。",
    ),
    "crop_warn_upscaled": (
        "Enlarged {factor} times, so softer than the photo. Draw the box larger, or train smaller.",
        "放大了 {factor} 倍，会比原图模糊。请扩大裁剪框，或选择较小的训练尺寸。",
    ),
    "crop_warn_small": (
        "Comes out {w} × {h}, smaller than asked for; it is never blown up.",
        "输出为 {w} × {h}，小于所选尺寸；不会强行放大。",
    ),
    "crop_warn_face_cut": ("The face is cut: {share}% of it is outside.", "脸部被裁掉：{share}% 在框外。"),
    "crop_warn_head_cut": (
        "Hair or chin may be cut: {share}% of the head is outside.",
        "头发或下巴可能被裁掉：头部的 {share}% 在框外。",
    ),
    "crop_warn_other_face": ("Other faces inside: {count}.", "框内有其他人的脸：{count} 张。"),
    "crop_keys": ("Keyboard", "键盘"),
    "crop_keys_list": (
        "Arrows: move · Shift + arrows: larger steps · Alt + arrows: one pixel · + and −: resize · "
        "N, Page Down: next · P, Page Up: previous · R: automatic · G: thirds · "
        "Ctrl + Z: undo · Ctrl + Shift + Z: redo",
        "方向键：移动 · Shift + 方向键：大步移动 · Alt + 方向键：一个像素 · + 和 −：缩放 · "
        "N、Page Down：下一张 · P、Page Up：上一张 · R：自动 · G：三分线 · "
        "Ctrl + Z：撤销 · Ctrl + Shift + Z：重做",
    ),
    # Both editors
    "edit_saved": ("All changes saved", "所有更改均已保存"),
    "edit_saving": ("Saving …", "正在保存……"),
    "edit_unsaved": ("Not saved yet, trying again …", "尚未保存，正在重试……"),
    "edit_undo": ("Undo", "撤销"),
    "edit_redo": ("Redo", "重做"),
    "edit_offline": ("The app does not answer. Check the connection.", "应用没有响应，请检查连接。"),
    "edit_bad_page": (
        "The page sent something that cannot be used. Reload it.",
        "页面发送的内容无法使用，请刷新页面。",
    ),
    "edit_gone": (
        "This photo is not among the kept ones any more. Reload the page.",
        "这张照片已不在保留之列，请刷新页面。",
    ),
}
