"""How close any text of a language lies to a query, whatever it says.

An English sentence encoder puts two unrelated Chinese sentences at a cosine of 0.6, where English
ones have 0.1. What a query scores against sentences that have nothing to do with it is therefore
taken off, as speaker recognition does with a cohort of impostors.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from videopipe.library.embedder import Embedder

# Three everyday sentences a language; the closest three speak for the language of the query.
_NEAREST = 3
_COHORT = (
    "The weather was fine, so they went for a walk in the park.",
    "He put the keys on the table and left the room.",
    "What is the name of the man in the blue coat?",
    "天气很好，所以他们去公园散步。",
    "他把钥匙放在桌子上就离开了房间。",
    "穿蓝色外套的人叫什么名字？",
    "天気が良かったので、公園を散歩しました。",
    "彼は鍵をテーブルに置いて部屋を出ました。",
    "青いコートの男の名前は何ですか。",
    "날씨가 좋아서 공원을 산책했습니다.",
    "그는 열쇠를 탁자 위에 놓고 방을 나갔습니다.",
    "파란 코트를 입은 남자의 이름은 무엇입니까?",
    "كان الطقس جميلا فذهبوا في نزهة في الحديقة.",
    "وضع المفاتيح على الطاولة وغادر الغرفة.",
    "ما اسم الرجل ذي المعطف الأزرق؟",
    "मौसम अच्छा था, इसलिए वे पार्क में टहलने गए।",
    "उसने चाबियाँ मेज़ पर रखीं और कमरे से चला गया।",
    "नीले कोट वाले आदमी का नाम क्या है?",
    "อากาศดี พวกเขาจึงไปเดินเล่นในสวน",
    "เขาวางกุญแจไว้บนโต๊ะแล้วออกจากห้อง",
    "ชายในเสื้อโค้ทสีน้ำเงินชื่ออะไร",
    "Погода была хорошая, и они пошли гулять в парк.",
    "Он положил ключи на стол и вышел из комнаты.",
    "Как зовут мужчину в синем пальто?",
    "Hacía buen tiempo, así que fueron a pasear al parque.",
    "Dejó las llaves en la mesa y salió de la habitación.",
    "¿Cómo se llama el hombre del abrigo azul?",
    "Il faisait beau, alors ils sont allés se promener au parc.",
    "Il a posé les clés sur la table et quitté la pièce.",
    "Comment s'appelle l'homme au manteau bleu ?",
    "Das Wetter war schön, also gingen sie im Park spazieren.",
    "Er legte die Schlüssel auf den Tisch und verließ das Zimmer.",
    "Wie heißt der Mann im blauen Mantel?",
    "Hava güzeldi, bu yüzden parkta yürüyüşe çıktılar.",
    "Anahtarları masaya bıraktı ve odadan çıktı.",
    "Mavi paltolu adamın adı ne?",
    "Thời tiết đẹp nên họ đi dạo trong công viên.",
    "Anh ấy đặt chìa khóa lên bàn rồi rời khỏi phòng.",
    "Người đàn ông mặc áo khoác xanh tên là gì?",
)


def background(embedder: Embedder, vector: NDArray[np.float32]) -> float:
    """The mean cosine of a query's unit ``vector`` with the sentences closest to it."""
    return float(np.sort(_vectors(embedder) @ vector)[-_NEAREST:].mean())


@cache
def _vectors(embedder: Embedder) -> NDArray[np.float32]:
    return embedder.encode(_COHORT)
